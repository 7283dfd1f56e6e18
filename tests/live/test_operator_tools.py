"""Server tools that the operator gives the server from an MCP server: search, and a sandbox for code."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from support.mcp_server import FOUND, McpSite
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CODE = {"type": "code_execution_20250522", "name": "code_execution"}


def call(tool: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


RULES = [
    {"when": "stdout:\\s*42|took too long", "say": "I have run it."},
    {"when": "A long read about herons|docs.example.com|Run pip install", "say": "Herons eat fish."},
    {"when": "How much is", "say": call("code_execution", code="print(6 * 7)")},
    {"when": "Wait a day", "say": call("code_execution", code="sleep")},
    {"when": "What do herons eat", "say": call("web_search", query="herons")},
]


@pytest.fixture(scope="module")
def operator_server(station: McpSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that searches, and runs code, with tools of the MCP server on loopback."""
    env = {
        "VLLM_MESSAGES_SEARCH": f"mcp:{station.url}#find",
        "VLLM_MESSAGES_CODE": f"mcp:{station.url}#run_python",
    }
    home = tmp_path_factory.mktemp("operator")
    with start_server(tiny.model_directory(), window=16384, env=env, home=home) as running:
        yield running


@pytest.fixture
def client(operator_server: Server, station: McpSite) -> Iterator[anthropic.Anthropic]:
    """The official SDK as a client of that server, which follows the rules of this page."""
    station.reset()
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    url = operator_server.url
    with (
        operator_server.playbook(RULES),
        anthropic.Anthropic(
            base_url=url, api_key="x", max_retries=0, timeout=120, http_client=transport
        ) as sdk,
    ):
        yield sdk


def ask(text: str, tool: dict[str, str]) -> dict[str, Any]:
    return {
        "model": "tiny",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": text}],
        "tools": [tool],
    }


def both(client: anthropic.Anthropic, fields: dict[str, Any]) -> list[Any]:
    """The message of a request, whole and streamed."""
    whole = client.beta.messages.create(**fields)
    with client.beta.messages.stream(**fields) as stream:
        return [whole, stream.get_final_message()]


def test_code_runs_in_the_operators_sandbox(client: anthropic.Anthropic, station: McpSite) -> None:
    for message in both(client, ask("How much is 6 * 7?", CODE)):
        use, result, text = message.content
        assert (use.type, use.input) == ("server_tool_use", {"code": "print(6 * 7)"})
        assert (result.content.stdout, result.content.return_code) == ("42\n", 0)
        assert text.text == "I have run it."
    assert station.calls == [("run_python", {"code": "print(6 * 7)"})] * 2


def test_code_that_takes_too_long_leaves_the_message_complete(client: anthropic.Anthropic) -> None:
    for message in both(client, ask("Wait a day.", CODE)):
        _, result, text = message.content
        assert result.content.error_code == "execution_time_exceeded"
        assert text.text == "I have run it."


def test_the_web_is_searched_with_the_operators_tool(client: anthropic.Anthropic, station: McpSite) -> None:
    for message in both(client, ask("What do herons eat?", SEARCH)):
        use, result, text = message.content
        assert (use.name, use.input) == ("web_search", {"query": "herons"})
        assert [hit.url for hit in result.content] == [hit["url"] for hit in FOUND]
        assert text.text == "Herons eat fish."
    assert station.calls == [("find", {"query": "herons"})] * 2
