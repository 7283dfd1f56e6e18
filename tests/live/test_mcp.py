"""MCP servers on a live server: both modes of the SDK, the second turn, and a tool that fails."""

import json
from typing import Any

import anthropic
import httpx
import pytest

from support.mcp_server import WEATHER, McpSite
from support.server import Server

BETAS = ["mcp-client-2025-11-20"]
TEXT = WEATHER.format(city="Oslo")


def call(tool: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


RULES = [
    {"when": "westerly wind.*And tomorrow", "say": "The same."},
    {"when": "westerly wind", "say": "It is cold."},
    {"when": "barometer is broken", "say": "I can't tell."},
    {"when": "Is it cold", "say": f"I look.\n{call('weather', city='Oslo')}"},
    {"when": "How is the pressure", "say": call("fail")},
]


@pytest.fixture(autouse=True)
def _fresh(station: McpSite) -> None:
    station.reset()


def body(station: McpSite, text: str = "Is it cold in Oslo?", **fields: Any) -> dict[str, Any]:
    return {
        "model": "tiny",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": text}],
        "mcp_servers": [{"type": "url", "name": "station", "url": station.url}],
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "station"}],
    } | fields


def comparable(message: Any) -> Any:
    """The blocks of a message without the ids of calls, and how it ended."""
    blocks = [block | {"id": "", "tool_use_id": ""} for block in message["content"]]
    return blocks, message["stop_reason"]


def test_the_sdk_reads_the_same_message_in_both_modes_and_sends_it_back(
    server: Server, anthropic_client: anthropic.Anthropic, station: McpSite
) -> None:
    with server.playbook(RULES):
        whole = anthropic_client.beta.messages.create(**body(station), betas=BETAS).to_dict()
        with anthropic_client.beta.messages.stream(**body(station), betas=BETAS) as stream:
            streamed = stream.get_final_message()
        messages = [
            *body(station)["messages"],
            {"role": "assistant", "content": streamed.content},
            {"role": "user", "content": "And tomorrow?"},
        ]
        second = anthropic_client.beta.messages.create(**body(station, messages=messages), betas=BETAS)
    types = [block["type"] for block in whole["content"]]
    assert types == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert comparable(whole) == comparable(streamed.to_dict())
    assert whole["content"][2]["content"][0]["text"] == TEXT
    assert len(whole["usage"]["iterations"]) == 2
    assert second.content[0].text == "The same."
    assert station.calls == [("weather", {"city": "Oslo"})] * 2


def test_a_tool_that_fails_leaves_the_stream_complete(
    server: Server, anthropic_client: anthropic.Anthropic, station: McpSite
) -> None:
    fields = body(station, "How is the pressure?")
    with server.playbook(RULES), anthropic_client.beta.messages.stream(**fields, betas=BETAS) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["mcp_tool_use", "mcp_tool_result", "text"]
    assert message.content[1].is_error
    assert message.content[2].text == "I can't tell."


def test_a_server_that_is_not_listed_is_refused(server: Server, http: httpx.Client, station: McpSite) -> None:
    fields = body(station)
    fields["mcp_servers"][0]["url"] = "https://elsewhere.invalid/mcp"
    reply = http.post("/v1/messages", json=fields)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith("mcp_servers.0.url: ")
