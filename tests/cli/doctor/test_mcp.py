"""What doctor says about MCP servers."""

import pytest

from support.loopback import HOST, free_port
from support.mcp_server import McpSite
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.mcp import code, mcp


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


@pytest.mark.parametrize(
    ("tool", "status", "says"),
    [
        ("run_python", "ok", "serves code_execution_20250522"),
        ("run_bash", "ok", "serves code_execution_20250825"),
        ("count", "fail", "neither code nor a command"),
        ("absent", "fail", "has no tool 'absent'"),
    ],
)
def test_a_sandbox_is_asked_what_it_serves(tool: str, status: str, says: str, site: McpSite) -> None:
    (found,) = code({"VLLM_MESSAGES_CODE": f"mcp:{site.url}#{tool}"})
    assert found.status == status
    assert says in found.found


def test_a_sandbox_that_is_not_there_fails() -> None:
    (dead,) = code({"VLLM_MESSAGES_CODE": f"mcp:http://{HOST}:{free_port()}/mcp#run"})
    assert "the connection failed" in dead.found
    (odd,) = code({"VLLM_MESSAGES_CODE": "docker"})
    assert odd.found.startswith("VLLM_MESSAGES_CODE: the value must be mcp:URL#TOOL")
    assert list(code({})) == []
