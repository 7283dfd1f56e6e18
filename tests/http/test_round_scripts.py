"""Replies of several rounds, whatever the model writes: legal, with right sums, the same in both modes."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream import grammar
from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation, parse_events
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchHit, SearchQuery
from vllm_messages_plugin.stream.collect import parse_tool_input
from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer
from vllm_messages_plugin.wire.errors import MessagesError

Json = dict[str, Any]
Script = list[list[EngineDelta]]
"""The deltas of each round."""

FINDER = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
CLIENT_TOOL = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
DEFERRED = {**CLIENT_TOOL, "name": "send_email", "description": "Send a message.", "defer_loading": True}
EDIT = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 1}}
SEALER = signer("test", SEARCH_RESULT)
MAX_TOKENS = 100


@dataclass
class Searching:
    """A search service that counts its searches; some queries fail."""

    name: str = "fixed"
    found: int = 0

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        if query.text == "fail":
            raise SearchFailedError("too_many_requests", "too many")
        self.found += 1
        return [SearchHit("https://a.example/x", "A", "It rains.")]


words = st.sampled_from(["It", " rains", ".", "\n\n", " ", "", "ü", "🎉"])
queries: list[Any] = [{"query": "rain"}, {"query": "sun"}, {"query": "fail"}, {"query": ""}, {}, [1]]
arguments = st.sampled_from([*map(json.dumps, queries), '{"query": "ra'])
own_arguments = st.sampled_from(["{}", '{"zone": "UTC"}', '{"zone": "U', ""])
"""Of the client's tools. The engine emits JSON objects for them, perhaps cut."""
names = st.sampled_from(["web_search", "web_search", "tool_search_tool_bm25", "get_time", "send_email"])


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[str, str]]:
    """A call as (name, piece of arguments) pairs; only the first has the name."""
    name = draw(names)
    text = draw(arguments) if name in ("web_search", "tool_search_tool_bm25") else draw(own_arguments)
    cut = draw(st.integers(0, len(text)))
    return [(name, text[:cut]), ("", text[cut:])]


@st.composite
def rounds(draw: st.DrawFn) -> list[EngineDelta]:
    """The deltas of one round: text, thinking and calls in any order, and an end."""
    prompt, output = draw(st.integers(20, 500)), draw(st.integers(0, 40))
    deltas: list[EngineDelta] = [PromptProcessed(prompt, draw(st.integers(0, 20)))]
    number = 0
    moves = st.one_of(words.map(EngineText), words.map(EngineThinking), calls())
    for move in draw(st.lists(moves, max_size=6)):
        if isinstance(move, list):
            deltas += [EngineToolCall(number, name or None, piece) for name, piece in move]
            number += 1
        else:
            deltas.append(move)
    thinking = draw(st.none() | st.integers(0, output))
    reason = draw(st.sampled_from(["stop"] * 6 + ["length", "window", "refusal", "stop_sequence"]))
    sequence = "END" if reason == "stop_sequence" else None
    return [*deltas, ReplyFinished(reason, output, thinking, sequence, token_ids=(1,))]  # type: ignore[arg-type]


@st.composite
def bodies(draw: st.DrawFn) -> Json:
    """A request with server tools, and now and then with a limit or a compaction."""
    limit = draw(st.sampled_from([{}, {}, {"max_uses": 1}]))
    search = {"type": "web_search_20250305", "name": "web_search", **limit}
    body: Json = {
        "model": "fake",
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": "How is the weather?"}],
        "tools": [search, FINDER, CLIENT_TOOL, DEFERRED],
        "thinking": {"type": "adaptive"},
        "stop_sequences": ["END"],
    }
    if draw(st.integers(0, 3)) == 0:
        body["context_management"] = {"edits": [{**EDIT, "pause_after_compaction": draw(st.booleans())}]}
    return body


SEARCHING = Searching()
ENGINE = FakeEngine(window=100_000)
APP = app_with(ENGINE, server_tools=ServerToolOffer(SEALER.sign, SEALER.restore, SEARCHING))


def reply(script: Script, body: Json) -> httpx.Response:
    """The response to a request, for which the engine plays the rounds of the script."""
    ENGINE.replies = script
    ENGINE.requests.clear()
    SEARCHING.found = 0

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://fake") as client:
            return await client.post("/v1/messages", json=body)

    return asyncio.run(post())


def without_ids(value: Any) -> Any:
    return json.loads(re.sub(r'"(srvtoolu|toolu|msg)_[0-9a-f]{24}"', '"id"', json.dumps(value)))


def input_tokens(usage: Json) -> int:
    return sum(count for name, count in usage.items() if name.endswith("input_tokens"))


def played(script: Script) -> list[tuple[int, int]]:
    """Input and output tokens of each round that the engine was asked for."""
    asked = [script[min(number, len(script) - 1)] for number in range(len(ENGINE.requests))]
    return [(deltas[0].prompt_tokens, deltas[-1].output_tokens) for deltas in asked]  # type: ignore[union-attr]


def check_usage(usage: Json, script: Script) -> None:
    """Fail unless the usage is the sum of what the rounds used and the search service found."""
    iterations = usage.get("iterations", [usage])
    assert [(input_tokens(each), each["output_tokens"]) for each in iterations] == played(script)
    messages = [each for each in iterations if each.get("type") != "compaction"] or iterations
    for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"):
        assert usage[name] == sum(each[name] for each in messages), name
    counted = usage["server_tool_use"] or {"web_search_requests": 0}
    assert counted["web_search_requests"] == SEARCHING.found
    assert len(messages) <= 10


fuzzed = settings(max_examples=30, deadline=None)
scripts = st.lists(rounds(), min_size=1, max_size=4)


CUT_CALL: Script = [
    [
        PromptProcessed(20, 0),
        EngineToolCall(0, "get_time", '{"zone": "U'),
        ReplyFinished("length", 5, token_ids=(1,)),
    ]
]
ONE_TOOL: Json = {
    "model": "fake",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is the time?"}],
    "tools": [{"name": "get_time", "input_schema": {"type": "object"}}],
}


def with_parsed_inputs(content: list[Any]) -> list[Any]:
    """Blocks whose inputs, also those that a limit cut, are read as in a reply that is not streamed."""
    return [
        {**block, "input": parse_tool_input(block["input"])} if isinstance(block.get("input"), str) else block
        for block in content
    ]


@fuzzed
@given(scripts, bodies())
@example(CUT_CALL, ONE_TOOL)
def test_a_reply_of_any_rounds_is_legal_and_the_same_streamed_and_whole(script: Script, body: Json) -> None:
    whole = reply(script, body)
    assert whole.status_code == 200, whole.text
    message = whole.json()
    check_usage(message["usage"], script)
    events = parse_events(reply(script, {**body, "stream": True}).text)
    assert first_violation(events) is None
    grammar.check([event.data for event in events])
    built = accumulate(events)
    check_usage(built["usage"], script)
    assert without_ids(with_parsed_inputs(built["content"])) == without_ids(message["content"])
    for name in ("stop_reason", "stop_sequence", "stop_details", "usage"):
        assert built[name] == message[name], name


@fuzzed
@given(scripts, bodies())
def test_what_any_rounds_give_can_be_sent_back(script: Script, body: Json) -> None:
    content = reply(script, body).json()["content"]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "noon"}
        for block in content
        if block["type"] == "tool_use"
    ]
    following = [*results, {"type": "text", "text": "And now?"}]
    turns = [{"role": "assistant", "content": content}, {"role": "user", "content": following}]
    again = {**body, "messages": [*body["messages"], *turns]}
    response = reply([[PromptProcessed(9, 0), EngineText("Sun."), ReplyFinished("stop", 2)]], again)
    assert response.status_code == 200, (response.text, content)


@fuzzed
@given(st.lists(rounds(), max_size=2), rounds(), bodies())
def test_a_failure_in_any_round_ends_the_stream_with_an_error(
    before: Script, failing: list[EngineDelta], body: Json
) -> None:
    failure = ReplyFailed(MessagesError("overloaded_error", "full"))
    script = [*before, [*failing[:-1], failure]]
    whole = reply(script, body)
    reached = len(ENGINE.requests) > len(before)
    assert (whole.status_code == 200) is not reached
    events = parse_events(reply(script, {**body, "stream": True}).text)
    grammar.check([event.data for event in events])
    assert (events[-1].kind == "error") is reached
