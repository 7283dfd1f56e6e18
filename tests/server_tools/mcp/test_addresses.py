"""Which MCP servers may be asked, and how a setting names one tool."""

import pytest

from vllm_messages_plugin.server_tools.mcp.addresses import (
    AllowedServers,
    McpAddress,
    tool_address,
    url_list,
)

LISTED = AllowedServers("listed", ("https://mcp.example.com", "http://tools.lan:8080/mcp"))
ANY = AllowedServers("any", ("http://tools.lan:8080/mcp",))


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.com",
        "https://MCP.example.com:443/",
        "https://mcp.example.com/any/path?query=1",
        "http://tools.lan:8080/mcp",
        "http://tools.lan:8080/mcp/",
        "http://tools.lan:8080/mcp/wiki",
    ],
)
def test_the_list_covers_its_urls_and_what_lies_below_them(url: str) -> None:
    assert LISTED.refusal(url) is None
    assert LISTED.lists(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com",
        "https://mcp.example.com:8443/",
        "https://mcp.example.com.evil.test/",
        "https://evil.test/https://mcp.example.com",
        "http://tools.lan:8080/mcp2",
        "http://tools.lan:8080/admin",
        "http://tools.lan:8080/mcp/../admin",
        "http://tools.lan:8080/mcp/%2e%2e/admin",
        "http://tools.lan:8080/mcp/..%2fadmin",
        "http://tools.lan:8080/mcp\\..\\admin",
        "http://user:secret@tools.lan:8080/mcp",
        "http://tools.lan:99999/mcp",
        "ftp://mcp.example.com",
        "mcp.example.com",
        "",
    ],
)
def test_the_list_covers_nothing_else(url: str) -> None:
    assert LISTED.refusal(url) is not None
    assert not LISTED.lists(url)


def test_any_server_must_speak_https_unless_it_is_listed() -> None:
    assert ANY.refusal("https://elsewhere.example/mcp") is None
    assert ANY.refusal("http://elsewhere.example/mcp") == "Input should be an https URL"
    assert ANY.refusal("http://tools.lan:8080/mcp") is None


def test_an_unreadable_entry_covers_nothing() -> None:
    assert not AllowedServers("listed", ("nonsense", "")).lists("nonsense")


def test_a_list_is_separated_by_commas() -> None:
    assert url_list(" https://a.example ,, http://b.lan:8080/mcp") == (
        "https://a.example",
        "http://b.lan:8080/mcp",
    )


def test_a_setting_names_a_tool_of_a_url() -> None:
    assert tool_address("mcp:http://a.lan/mcp#run", "V") == McpAddress("http://a.lan/mcp", "run")


@pytest.mark.parametrize(
    "setting", ["mcp:http://a.lan/mcp", "mcp:#run", "http://a.lan#run", "mcp:a.lan#run", ""]
)
def test_a_setting_without_url_or_tool_is_refused_with_the_form_it_must_have(setting: str) -> None:
    with pytest.raises(ValueError, match=r"^VARIABLE: .*mcp:URL#TOOL"):
        tool_address(setting, "VARIABLE")
