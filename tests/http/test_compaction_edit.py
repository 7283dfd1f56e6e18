"""The edit `compact_20260112` through the route: a summary first, then the reply, in one message."""

import json
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from stream import grammar
from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation, parse_events
from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineToolCall,
    PromptProcessed,
    ReplyFinished,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.compaction import INSTRUCTIONS
from vllm_messages_plugin.wire.errors import MessagesError

EDIT: dict[str, Any] = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 1}}
TALK = [
    {"role": "user", "content": "Find the heron."},
    {"role": "assistant", "content": "It is in the reeds."},
    {"role": "user", "content": "And the stork?"},
]
ASK: dict[str, Any] = {"model": "fake", "max_tokens": 100, "messages": TALK}
Round = Sequence[EngineDelta]
SUMMARY: Round = [PromptProcessed(50, 40), EngineText("A heron."), ReplyFinished("stop", 9)]
REPLY: Round = [PromptProcessed(20, 4), EngineText("On the roof."), ReplyFinished("stop", 5)]


def ask(**fields: Any) -> dict[str, Any]:
    return {**ASK, "context_management": {"edits": [{**EDIT, **fields}]}}


async def post(engine: FakeEngine, body: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        return await client.post("/v1/messages", json=body)


async def test_the_reply_begins_with_the_summary_and_goes_on_from_it() -> None:
    engine = FakeEngine(replies=[SUMMARY, REPLY])
    message = (await post(engine, ask())).json()
    assert [block["type"] for block in message["content"]] == ["compaction", "text"]
    assert message["content"][0]["content"] == "A heron."
    assert message["content"][1]["text"] == "On the roof."
    assert message["stop_reason"] == "end_turn"
    first, second = (request.conversation.messages for request in engine.requests)
    assert INSTRUCTIONS in str(first[-1]["content"])
    assert [(each["role"], each["content"]) for each in second] == [
        ("user", "<summary>\nA heron.\n</summary>")
    ]


async def test_the_usage_of_the_summary_is_an_iteration_of_its_own() -> None:
    message = (await post(FakeEngine(replies=[SUMMARY, REPLY]), ask())).json()
    usage = anthropic.types.beta.BetaMessage.model_validate(message).usage
    assert usage.iterations is not None
    assert [(each.type, each.output_tokens) for each in usage.iterations] == [
        ("compaction", 9),
        ("message", 5),
    ]
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (16, 4, 5)


async def test_a_paused_reply_ends_behind_the_summary() -> None:
    engine = FakeEngine(replies=[SUMMARY, REPLY])
    message = (await post(engine, ask(pause_after_compaction=True))).json()
    assert [block["type"] for block in message["content"]] == ["compaction"]
    assert message["stop_reason"] == "compaction"
    assert len(engine.requests) == 1


async def test_the_stream_is_one_legal_message_and_equals_the_whole_one() -> None:
    whole = (await post(FakeEngine(replies=[SUMMARY, REPLY]), ask())).json()
    reply = await post(FakeEngine(replies=[SUMMARY, REPLY]), {**ask(), "stream": True})
    events = parse_events(reply.text)
    assert first_violation(events) is None
    grammar.check([event.data for event in events])
    streamed = accumulate(events)
    assert streamed["content"] == whole["content"]
    assert streamed["stop_reason"] == whole["stop_reason"]
    assert streamed["usage"] == whole["usage"]


async def test_the_summary_is_streamed_as_one_delta() -> None:
    reply = await post(FakeEngine(replies=[SUMMARY, REPLY]), {**ask(), "stream": True})
    start, delta, stop = (event.data for event in parse_events(reply.text)[1:4])
    assert start["content_block"]["content"] is None
    assert start["content_block"]["signature"]
    assert delta["delta"] == {"type": "compaction_delta", "content": "A heron.", "encrypted_content": None}
    assert stop["type"] == "content_block_stop"


async def test_both_forms_of_the_sdk_build_the_same_message() -> None:
    whole, streamed = [
        await post(FakeEngine(replies=[SUMMARY, REPLY]), {**ask(), "stream": stream})
        for stream in (False, True)
    ]

    def reply(request: httpx2.Request) -> httpx2.Response:
        recorded = streamed if json.loads(request.content).get("stream") else whole
        kind = recorded.headers["content-type"]
        return httpx2.Response(200, content=recorded.content, headers={"content-type": kind})

    transport = httpx2.MockTransport(reply)
    client = anthropic.Anthropic(
        base_url="http://fake.invalid", api_key="x", http_client=httpx2.Client(transport=transport)
    )
    fields: Any = {"model": "fake", "max_tokens": 9, "messages": TALK}
    created = client.beta.messages.create(**fields)
    with client.beta.messages.stream(**fields) as stream:
        built = stream.get_final_message()
    assert built.to_dict()["content"][0]["content"] == "A heron."
    for one, other in zip(built.to_dict()["content"], created.to_dict()["content"], strict=True):
        assert one == other
    assert built.usage.iterations == created.usage.iterations


async def test_what_comes_back_in_the_next_turn_is_read_from_the_summary_on() -> None:
    engine = FakeEngine(replies=[SUMMARY, REPLY, REPLY])
    message = (await post(engine, ask())).json()
    more = [*TALK, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": "Why?"}]
    await post(engine, {**ASK, "messages": more})
    in_reply, in_history = (request.conversation.messages for request in engine.requests[1:])
    assert in_history[: len(in_reply)] == in_reply
    assert [each["content"] for each in in_history[1:]] == ["On the roof.", "Why?"]


async def test_instructions_of_the_edit_replace_the_own_ones() -> None:
    engine = FakeEngine(replies=[SUMMARY, REPLY])
    await post(engine, ask(instructions="Only names."))
    assert str(engine.requests[0].conversation.messages[-1]["content"]).endswith("Only names.")


async def test_the_request_bounds_the_reply_and_not_the_summary() -> None:
    engine = FakeEngine(replies=[SUMMARY, REPLY])
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    await post(engine, {**ask(), "stop_sequences": ["heron"], "tools": tools, "tool_choice": {"type": "any"}})
    summary, reply = engine.requests
    assert (summary.conversation.choice.mode, reply.conversation.choice.mode) == ("none", "any")
    assert (list(summary.sampling.stop_sequences), list(reply.sampling.stop_sequences)) == ([], ["heron"])
    assert summary.sampling.max_tokens > reply.sampling.max_tokens == 100


async def test_a_client_tool_may_be_called_behind_the_summary() -> None:
    called: Round = [PromptProcessed(20, 4), EngineToolCall(0, "f", "{}"), ReplyFinished("stop", 5)]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    message = (await post(FakeEngine(replies=[SUMMARY, called]), {**ask(), "tools": tools})).json()
    assert [block["type"] for block in message["content"]] == ["compaction", "tool_use"]
    assert message["stop_reason"] == "tool_use"


async def test_a_summary_that_was_cut_leaves_the_conversation_as_it_is() -> None:
    cut: Round = [PromptProcessed(50, 40), EngineText("A he"), ReplyFinished("length", 9)]
    engine = FakeEngine(replies=[cut, REPLY])
    message = (await post(engine, ask())).json()
    assert message["content"][0]["content"] is None
    assert message["content"][1]["text"] == "On the roof."
    assert engine.requests[1].conversation.messages[0]["content"] == "Find the heron."


@pytest.mark.parametrize(
    "body",
    [
        ask(trigger={"type": "input_tokens", "value": 100_000}),
        {**ask(), "messages": TALK[:2]},
        ASK,
    ],
    ids=["below the trigger", "the assistant's turn", "no edit"],
)
async def test_a_conversation_that_needs_none_is_not_compacted(body: Any) -> None:
    message = (await post(FakeEngine(replies=[REPLY]), body)).json()
    assert [block["type"] for block in message["content"]] == ["text"]
    assert "iterations" not in message["usage"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"trigger": {"type": "tool_uses", "value": 3}}, "trigger"),
        ({"trigger": {"type": "input_tokens", "value": 0}}, "trigger.value"),
        ({"instructions": 7}, "instructions"),
        ({"pause_after_compaction": "yes"}, "pause_after_compaction"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_field_without_sense_is_refused_by_name(fields: Any, path: str, stream: bool) -> None:
    reply = await post(FakeEngine(), {**ask(**fields), "stream": stream})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(f"context_management.edits.0.{path}")


async def test_a_failure_behind_the_summary_ends_the_stream_with_an_error() -> None:
    class Failing(FakeEngine):
        async def generate(self, *arguments: Any, **options: Any) -> Any:
            if self.requests:
                raise MessagesError("overloaded_error", "full")
            return await super().generate(*arguments, **options)

    reply = await post(Failing(replies=[SUMMARY]), {**ask(), "stream": True})
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    grammar.check(events)
    assert events[-1]["error"]["type"] == "overloaded_error"
