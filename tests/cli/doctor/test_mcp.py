"""What doctor says about MCP servers."""

from collections.abc import Iterator

import pytest

from support.loopback import HOST, free_port
from support.mcp_server import McpSite, mcp_site
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.mcp import mcp


@pytest.fixture(scope="module")
def site() -> Iterator[McpSite]:
    with mcp_site() as running:
        yield running


def lines(urls: str, mode: str = "listed") -> list[Line]:
    return list(mcp({"VLLM_MESSAGES_MCP": mode, "VLLM_MESSAGES_MCP_URLS": urls}))


def test_a_server_that_answers_is_ok(site: McpSite) -> None:
    (found,) = lines(site.url)
    assert (found.status, found.found) == ("ok", f"{site.url} has 11 tools")


def test_a_server_that_wants_a_token_is_ok(site: McpSite) -> None:
    site.token = "secret"
    try:
        (found,) = lines(site.url, "any")
    finally:
        site.reset()
    assert (found.status, found.found) == ("ok", f"{site.url} asks for a token, which clients send")


def test_a_server_that_is_down_is_a_warning(site: McpSite) -> None:
    dead = f"http://{HOST}:{free_port()}/mcp"
    assert [line.status for line in lines(f"{dead},{site.url}")] == ["warn", "ok"]


@pytest.mark.parametrize(("mode", "urls"), [("listed", ""), ("listed", "nonsense"), ("some", "")])
def test_a_setting_without_sense_fails(mode: str, urls: str) -> None:
    assert [line.status for line in lines(urls, mode)] == ["fail"]


def test_without_a_setting_nothing_is_reported() -> None:
    assert list(mcp({})) == []
    assert lines("http://a.lan", "off") == []
