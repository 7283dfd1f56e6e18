"""MCP servers through the routes: their tools run in one message, over a real server on loopback."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anthropic.types.beta
import httpx
import pytest

from stream import grammar
from support.loopback import HOST, free_port
from support.mcp_server import WEATHER, McpSite, OddSite
from vllm_messages_plugin.http.recorder import Recorder
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers
from vllm_messages_plugin.server_tools.mcp.connector import McpConnector
from vllm_messages_plugin.server_tools.mcp.results import CUT
from vllm_messages_plugin.server_tools.mcp.sessions import sessions_ended
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineToolCall, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer

TOKEN = "a-secret-token"
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "station"}
NEW, OLD, NEWEST = "mcp-client-2025-11-20", "mcp-client-2025-04-04", "mcp-client-2026-09-15"
CLIENT_TOOL = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
Round = Sequence[EngineDelta]


def stop(tokens: int = 5) -> ReplyFinished:
    return ReplyFinished("stop", tokens, token_ids=(1, 2))


def call(tool: str, number: int = 0, **arguments: Any) -> Round:
    """A round that calls a tool."""
    return [EngineToolCall(number, tool, json.dumps(arguments)), stop()]


ANSWER: Round = [EngineText("Take a coat."), stop(7)]
ASKED: Round = [EngineText("Let me look."), *call("weather", city="Oslo")]


def offer(*urls: str, mode: Any = "listed", **fields: Any) -> ServerToolOffer:
    """What a server offers whose operator listed these MCP servers."""
    sealer = signer("test", SEARCH_RESULT)
    return ServerToolOffer(
        sealer.sign, sealer.restore, connector=McpConnector(AllowedServers(mode, urls), **fields)
    )


def ask(url: str, *, tools: Any = (TOOLSET,), server: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "model": "fake",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Is it cold in Oslo?"}],
        "mcp_servers": [{"type": "url", "name": "station", "url": url, **(server or {})}],
        "tools": list(tools),
        **fields,
    }


async def post(
    engine: FakeEngine,
    body: Any,
    offered: ServerToolOffer | None,
    beta: str = NEW,
    path: str = "/v1/messages",
    **app: Any,
) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(engine, server_tools=offered, **app))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        answer = await client.post(path, json=body, headers={"anthropic-beta": beta})
    await sessions_ended()
    return answer


async def reply(*rounds: Round, site: McpSite, **fields: Any) -> Any:
    """The message of a reply with these rounds."""
    answer = await post(FakeEngine(replies=list(rounds)), ask(site.url, **fields), offer(site.url))
    assert answer.status_code == 200, answer.text
    return answer.json()


def types(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


async def test_a_reply_goes_on_behind_its_call(site: McpSite) -> None:
    message = await reply(ASKED, ANSWER, site=site)
    assert types(message) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    use, result = message["content"][1:3]
    assert use["id"].startswith("mcptoolu_")
    assert use | {"id": ""} == {
        "type": "mcp_tool_use",
        "id": "",
        "name": "weather",
        "server_name": "station",
        "input": {"city": "Oslo"},
    }
    assert result == {
        "type": "mcp_tool_result",
        "tool_use_id": use["id"],
        "is_error": False,
        "content": [{"type": "text", "text": WEATHER.format(city="Oslo")}],
    }
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["server_tool_use"] is None
    assert len(message["usage"]["iterations"]) == 2
    assert site.calls == [("weather", {"city": "Oslo"})]
    parsed = anthropic.types.beta.BetaMessage.model_validate(message)
    assert isinstance(parsed.content[1], anthropic.types.beta.BetaMCPToolUseBlock)
    assert isinstance(parsed.content[2], anthropic.types.beta.BetaMCPToolResultBlock)


async def test_the_stream_is_one_legal_message_and_equals_the_non_streaming_one(site: McpSite) -> None:
    body = ask(site.url, stream=True)
    answer = await post(FakeEngine(replies=[ASKED, ANSWER]), body, offer(site.url))
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    grammar.check(events)
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    whole = await reply(ASKED, ANSWER, site=site)
    assert [block["type"] for block in starts] == types(whole)
    assert starts[1] | {"id": ""} == whole["content"][1] | {"id": "", "input": {}}
    assert starts[2] | {"tool_use_id": ""} == whole["content"][2] | {"tool_use_id": ""}


async def test_the_model_reads_the_result_behind_its_call_and_again_in_the_next_turn(site: McpSite) -> None:
    engine = FakeEngine(replies=[ASKED, ANSWER, ANSWER])
    offered = offer(site.url)
    first = (await post(engine, ask(site.url), offered)).json()
    messages = [
        *ask(site.url)["messages"],
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "Thanks"},
    ]
    assert (await post(engine, ask(site.url, messages=messages), offered)).status_code == 200
    asked, in_reply, in_history = (request.conversation for request in engine.requests)
    assert in_reply.messages[: len(asked.messages)] == asked.messages
    assert WEATHER.format(city="Oslo") in str(in_reply.messages[-1]["content"])
    assert in_history.messages[: len(in_reply.messages)] == in_reply.messages
    assert in_history.tools == in_reply.tools == asked.tools


async def test_a_history_is_read_by_a_server_that_connects_no_mcp_servers(site: McpSite) -> None:
    first = await reply(ASKED, ANSWER, site=site)
    body = ask(site.url, tools=[CLIENT_TOOL], mcp_servers=None)
    body["messages"] += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "Thanks"},
    ]
    sealer = signer("test", SEARCH_RESULT)
    engine = FakeEngine(replies=[ANSWER])
    assert (await post(engine, body, ServerToolOffer(sealer.sign, sealer.restore))).status_code == 200
    assert WEATHER.format(city="Oslo") in str(engine.requests[0].conversation.messages)


async def test_a_tool_that_fails_is_an_error_for_the_client_and_the_model(site: McpSite) -> None:
    engine = FakeEngine(replies=[call("fail"), ANSWER])
    message = (await post(engine, ask(site.url), offer(site.url))).json()
    assert message["content"][1]["is_error"] is True
    assert message["content"][1]["content"] == [{"type": "text", "text": "the barometer is broken"}]
    read = engine.requests[1].conversation.messages[-1]
    assert "the barometer is broken" in str(read["content"])
    assert read != {**read, "content": "the barometer is broken"}, "the model is not shown that it failed"


@pytest.mark.parametrize(
    ("tool", "says"),
    [("huge", "larger than"), ("absent_tool", None)],
)
async def test_a_call_that_goes_wrong_is_an_error_and_the_reply_goes_on(
    tool: str, says: str | None, site: McpSite
) -> None:
    pinned = {**TOOLSET, "tools": [{"name": tool, "input_schema": {"type": "object"}}]}
    message = await reply(call(tool), ANSWER, site=site, tools=[pinned])
    assert types(message) == ["mcp_tool_use", "mcp_tool_result", "text"]
    assert message["content"][1]["is_error"] is True
    assert (says or "") in message["content"][1]["content"][0]["text"]
    assert message["stop_reason"] == "end_turn"


async def test_a_server_that_dies_after_its_listing_is_an_error_and_the_reply_goes_on() -> None:
    url = f"http://{HOST}:{free_port()}/mcp"
    pinned = {**TOOLSET, "tools": [{"name": "weather", "input_schema": {"type": "object"}}]}
    engine = FakeEngine(replies=[ASKED, ANSWER])
    message = (await post(engine, ask(url, tools=[pinned]), offer(url))).json()
    assert message["content"][2]["content"][0]["text"] == "The tool failed: the connection failed."
    assert message["content"][3]["text"] == "Take a coat."


async def test_arguments_that_are_no_object_are_not_sent(site: McpSite) -> None:
    message = await reply([EngineToolCall(0, "weather", "[1"), stop()], ANSWER, site=site)
    assert message["content"][1]["is_error"] is True
    assert "no JSON object" in message["content"][1]["content"][0]["text"]
    assert site.calls == []


async def test_a_long_result_is_cut_for_the_model_and_the_client(site: McpSite) -> None:
    answer = await post(
        FakeEngine(replies=[call("long"), ANSWER]), ask(site.url), offer(site.url, max_result_tokens=10)
    )
    text = answer.json()["content"][1]["content"][0]["text"]
    assert text.endswith(CUT)
    assert len(text) == 40 + len(CUT)


async def test_the_same_call_twice_in_a_row_runs_twice(site: McpSite) -> None:
    message = await reply(call("count"), call("count"), ANSWER, site=site)
    texts = [
        block["content"][0]["text"] for block in message["content"] if block["type"] == "mcp_tool_result"
    ]
    assert texts == ["call 1", "call 2"]


async def test_the_session_of_a_reply_ends_with_it(site: McpSite) -> None:
    site.legacy = True
    await reply(call("count"), call("count"), ANSWER, site=site)
    assert site.methods.count("DELETE") == 2
    assert site.methods.count("initialize") == 2, "one for the listing and one for the calls"


async def test_a_client_tool_called_beside_one_of_the_server_ends_the_turn(site: McpSite) -> None:
    both: Round = [EngineToolCall(0, "get_time", "{}"), *call("weather", 1, city="Oslo")]
    message = await reply(both, site=site, tools=[CLIENT_TOOL, TOOLSET])
    assert types(message) == ["tool_use", "mcp_tool_use", "mcp_tool_result"]
    assert message["stop_reason"] == "tool_use"


async def test_names_that_are_taken_are_changed_in_the_prompt_alone(site: McpSite) -> None:
    own = {"name": "weather", "input_schema": {"type": "object"}}
    message = await reply(call("station_weather", city="Oslo"), ANSWER, site=site, tools=[own, TOOLSET])
    assert message["content"][0]["name"] == "weather"
    assert message["content"][0]["type"] == "mcp_tool_use"
    dotted = await reply(call("weather_read", city="Oslo"), ANSWER, site=site)
    assert dotted["content"][0]["name"] == "weather.read"
    assert dotted["content"][1]["is_error"] is False


async def test_a_demanded_tool_is_demanded_once(site: McpSite) -> None:
    engine = FakeEngine(replies=[call("weather", city="Oslo"), ANSWER])
    choice = {"type": "tool", "name": "weather"}
    assert (await post(engine, ask(site.url, tool_choice=choice), offer(site.url))).status_code == 200
    assert [request.conversation.choice.mode for request in engine.requests] == ["tool", "auto"]


async def test_deferred_tools_are_found_by_the_tool_search_and_run(site: McpSite) -> None:
    finder = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    deferred = {**TOOLSET, "default_config": {"defer_loading": True}}
    engine = FakeEngine(
        replies=[
            [EngineToolCall(0, "tool_search_tool_regex", '{"pattern": "weather in a city"}'), stop()],
            call("weather", city="Oslo"),
            ANSWER,
        ]
    )
    message = (await post(engine, ask(site.url, tools=[finder, deferred]), offer(site.url))).json()
    assert types(message) == [
        "server_tool_use",
        "tool_search_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "text",
    ]
    shown = [[tool["function"]["name"] for tool in request.conversation.tools] for request in engine.requests]
    assert shown == [["tool_search_tool_regex"]] * 3
    callable_ = [
        {tool["function"]["name"] for tool in request.conversation.callable_tools}
        for request in engine.requests
    ]
    assert "weather" not in callable_[0]
    assert "weather" in callable_[1]


async def test_tools_are_listed_once_for_many_requests(site: McpSite) -> None:
    offered = offer(site.url)
    for _ in range(3):
        await post(FakeEngine(replies=[ANSWER]), ask(site.url), offered)
    assert site.methods.count("tools/list") == 1


async def test_the_tools_count_for_count_tokens(site: McpSite) -> None:
    body = ask(site.url)
    del body["max_tokens"]
    engine = FakeEngine()
    answer = await post(engine, body, offer(site.url), path="/v1/messages/count_tokens")
    assert answer.status_code == 200, answer.text
    assert site.methods.count("tools/list") == 1


async def test_the_token_is_sent_to_the_server_and_recorded_nowhere(site: McpSite, tmp_path: Path) -> None:
    site.token = TOKEN
    recorder = Recorder(tmp_path)
    body = ask(site.url, server={"authorization_token": TOKEN})
    answer = await post(FakeEngine(replies=[ASKED, ANSWER]), body, offer(site.url), recorder=recorder)
    assert types(answer.json())[1] == "mcp_tool_use"
    assert {headers.get("authorization") for headers in site.headers} == {f"Bearer {TOKEN}"}
    await recorder.flush()
    written = texts_in(tmp_path)
    assert any('"authorization_token": "(left out)"' in text for text in written)
    assert not any(TOKEN in text for text in written)


def texts_in(directory: Path) -> list[str]:
    return [path.read_text() for path in directory.rglob("*") if path.is_file()]


# The oldest and the newest beta.


async def test_the_oldest_beta_needs_no_toolset(site: McpSite) -> None:
    engine = FakeEngine(replies=[ASKED, ANSWER])
    server = {"tool_configuration": {"enabled": True, "allowed_tools": ["weather"]}}
    answer = await post(engine, ask(site.url, tools=[], server=server), offer(site.url), OLD)
    assert types(answer.json()) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert [tool["function"]["name"] for tool in engine.requests[0].conversation.tools] == ["weather"]


async def test_the_newest_beta_returns_the_listing_and_takes_it_back(site: McpSite) -> None:
    offered = offer(site.url)
    engine = FakeEngine(replies=[ASKED, ANSWER, ANSWER])
    first = (await post(engine, ask(site.url), offered, NEWEST)).json()
    assert types(first)[0] == "mcp_tool_listing"
    listing = first["content"][0]
    assert listing["mcp_server_name"] == "station"
    assert {tool["name"] for tool in listing["tools"]} >= {"weather", "count"}
    parsed = anthropic.types.beta.BetaMessage.model_validate(first)
    assert isinstance(parsed.content[0], anthropic.types.beta.BetaMCPToolListingBlock)
    messages = [
        *ask(site.url)["messages"],
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "Thanks"},
    ]
    site.reset()
    second = (await post(engine, ask(site.url, messages=messages), offer(site.url), NEWEST)).json()
    assert types(second) == ["text"], "a listing that came along is not sent again"
    assert "tools/list" not in site.methods
    _, in_reply, in_history = (request.conversation for request in engine.requests)
    assert in_history.tools == in_reply.tools
    assert in_history.messages[: len(in_reply.messages)] == in_reply.messages


async def test_tools_are_added_and_removed_in_the_conversation(site: McpSite) -> None:
    engine = FakeEngine(replies=[ANSWER, ANSWER])
    deferred = {**TOOLSET, "default_config": {"defer_loading": True}}

    async def callable_names(kind: str, tool: dict[str, Any], toolset: Any) -> set[str]:
        change = {"role": "system", "content": [{"type": kind, "tool": tool}]}
        body = ask(site.url, tools=[CLIENT_TOOL, toolset])
        body["messages"] = [*body["messages"], change]
        assert (await post(engine, body, offer(site.url))).status_code == 200
        return {tool["function"]["name"] for tool in engine.requests[-1].conversation.callable_tools}

    one = {"type": "mcp_tool_reference", "server_name": "station", "name": "weather.read"}
    assert await callable_names("tool_addition", one, deferred) == {"get_time", "weather_read"}
    whole = {"type": "mcp_toolset_reference", "server_name": "station"}
    assert await callable_names("tool_removal", whole, TOOLSET) == {"get_time"}


# Requests that are refused before the first byte.


@pytest.mark.parametrize("stream", [True, False])
async def test_without_the_setting_servers_are_refused_by_its_name(stream: bool, site: McpSite) -> None:
    sealer = signer("test", SEARCH_RESULT)
    answer = await post(
        FakeEngine(), ask(site.url, stream=stream), ServerToolOffer(sealer.sign, sealer.restore)
    )
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith("mcp_servers: ")
    assert "VLLM_MESSAGES_MCP" in message
    assert "tools/list" not in site.methods


async def test_without_the_setting_a_toolset_is_refused_by_its_type(site: McpSite) -> None:
    sealer = signer("test", SEARCH_RESULT)
    body = ask(site.url, mcp_servers=[])
    answer = await post(FakeEngine(), body, ServerToolOffer(sealer.sign, sealer.restore))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("tools.0: tool type 'mcp_toolset'")


@pytest.mark.parametrize(
    ("mode", "listed", "url", "says"),
    [
        ("listed", "http://other.lan/mcp", "SITE", "mcp_servers.0.url: this server connects only"),
        ("any", "", "SITE", "mcp_servers.0.url: Input should be an https URL"),
        ("any", "", "https://127.0.0.1:1/mcp", "its address is not a public one"),
        ("any", "", "https://user:pw@a.example/mcp", "mcp_servers.0.url: Input should be an http"),
        ("any", "", "file:///etc/passwd", "mcp_servers.0.url: Input should be an http"),
        (
            "any",
            "",
            "https://a.example/" + "%41" * 3_000,
            "mcp_servers.0.url: String should have at most 8192",
        ),
    ],
)
async def test_a_server_that_may_not_be_asked_is_refused_by_its_field(
    mode: str, listed: str, url: str, says: str, site: McpSite
) -> None:
    url = site.url if url == "SITE" else url
    answer = await post(FakeEngine(), ask(url), offer(listed, mode=mode))
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert "tools/list" not in site.methods


@pytest.mark.parametrize("mode", ["html", "broken", "forbidden", "huge", "bomb", "redirect inward"])
async def test_a_server_without_a_listing_is_a_400_by_its_place(mode: str, odd: OddSite) -> None:
    odd.mode = mode
    answer = await post(FakeEngine(), ask(odd.url), offer(odd.url))
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith("mcp_servers.0: the tools of MCP server 'station' can't be listed: ")
    assert HOST not in message
    assert "169.254" not in message


async def test_two_servers_are_asked_and_the_one_that_fails_is_named(site: McpSite, odd: OddSite) -> None:
    body = ask(site.url, tools=[TOOLSET, {**TOOLSET, "mcp_server_name": "odd"}])
    body["mcp_servers"].append({"type": "url", "name": "odd", "url": odd.url})
    answer = await post(FakeEngine(), body, offer(site.url, odd.url))
    assert answer.json()["error"]["message"].startswith("mcp_servers.1: ")
