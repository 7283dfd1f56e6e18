"""The collected reply is what the official SDK makes of the stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings

from stream.oracle import final_message
from stream.playbook import READ, calls, done, events_of, fails, says, thinks
from stream.scripts import Script, failures, finishes, scripts
from vllm_messages_plugin.stream.collect import INVALID_JSON_KEY, collect, parse_tool_input
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import PING, StreamEvent
from vllm_messages_plugin.wire.sse import dump


async def _one_by_one(events: Sequence[StreamEvent]) -> AsyncIterator[list[StreamEvent]]:
    for event in events:
        yield [event]


def collected(events: Sequence[StreamEvent]) -> Any:
    return asyncio.run(collect(_one_by_one(events)))


REPLIES: dict[str, tuple[EngineDelta, ...]] = {
    "empty": (done(),),
    "text": (says("Hel"), says("lo"), done()),
    "text with blank edges": (says("a\n"), says("\n  b "), done()),
    "unicode": (says("日本語 🎉 é\u2028\u0085\x00"), done()),
    "thinking": (thinks("Let me "), thinks("see."), says("Yes."), done()),
    "thinking alone": (thinks("Let me see."), done("length")),
    "call": (says("Look."), calls(0, "f", '{"x": [1, 2.5, null]}'), done()),
    "call in pieces": (calls(0, "f", '{"x'), calls(0, None, '": "a'), calls(0, None, '\\n"}'), done()),
    "call without arguments": (calls(0, "now"), done()),
    "call with an empty object": (calls(0, "now", "{}"), done()),
    "call after white space": (calls(0, "f", "\n"), calls(0, None, '{"x": 1}'), done()),
    "call with unicode": (calls(0, "f", '{"ü": "🎉 \\ud83c\\udf89"}'), done()),
    "call cut in a pair": (calls(0, "f", '{"x": "\\ud83c'), calls(0, None, '\\udf89"}'), done()),
    "cut at the start": (calls(0, "f", "{"), done("length")),
    "cut in a key": (calls(0, "f", '{"x": 1, "yy'), done("length")),
    "cut in a string": (calls(0, "f", '{"x": 1, "y": "ab'), done("length")),
    "cut in an escape": (calls(0, "f", '{"x": 1, "y": "a\\u00'), done("length")),
    "cut in a number": (calls(0, "f", '{"x": -12.'), done("length")),
    "cut in a word": (calls(0, "f", '{"x": [tru'), done("length")),
    "parallel calls": (
        calls(0, "f", '{"x":'),
        calls(1, "g", '{"y": 2}'),
        calls(0, None, " 1}"),
        says("Done."),
        done(),
    ),
    "stop sequence": (says("a"), done("stop_sequence", "END")),
    "refusal": (says("a"), done("refusal")),
    "window": (says("a"), done("window")),
}


@pytest.mark.parametrize("deltas", REPLIES.values(), ids=REPLIES.keys())
def test_the_collected_reply_is_what_the_sdk_builds(deltas: tuple[EngineDelta, ...]) -> None:
    events = events_of([READ, *deltas], sign=signer("key").sign)
    assert collected(events) == final_message(events)


@settings(max_examples=80, deadline=None)
@given(scripts(finishes, named=True))
def test_every_collected_reply_is_what_the_sdk_builds(script: Script) -> None:
    events = events_of(script.deltas)
    assert collected(events) == final_message(events)


@settings(max_examples=20, deadline=None)
@given(scripts(failures))
def test_a_reply_that_fails_fails_alike(script: Script) -> None:
    events = events_of(script.deltas)
    with pytest.raises(MessagesError) as ours:
        collected(events)
    with pytest.raises(anthropic.APIStatusError) as theirs:
        final_message(events)
    assert theirs.value.body == events[-1]
    assert ours.value.message == events[-1]["error"]["message"]  # type: ignore[typeddict-item]


# The message itself.


NOT_REPORTED = dict.fromkeys(("output_tokens_details", "server_tool_use", "inference_geo", "speed"))


def test_a_collected_message_in_full() -> None:
    usage = {"input_tokens": 36, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 64}
    cache = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    assert collected(events_of([READ, thinks("a"), says("b"), calls(0, "f", '{"x": 1}'), done()])) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "a", "signature": "<a>"},
            {"type": "text", "text": "b"},
            {
                "type": "tool_use",
                "id": "toolu_0",
                "name": "f",
                "input": {"x": 1},
                "caller": {"type": "direct"},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
        "usage": {
            **usage,
            **NOT_REPORTED,
            "cache_creation": cache,
            "output_tokens": 7,
            "service_tier": "standard",
        },
    }


def test_omitted_thinking_is_collected_with_its_signature_only() -> None:
    message = collected(events_of([READ, thinks("a"), done()], show_thinking=False))
    assert message["content"] == [{"type": "thinking", "thinking": "", "signature": "<a>"}]


def test_applied_edits_and_diagnostics_are_collected() -> None:
    message = collected(events_of([READ, done()], applied_edits=[], diagnostics={"cache_miss_reason": None}))
    assert message["context_management"] == {"applied_edits": []}
    assert message["diagnostics"] == {"cache_miss_reason": None}


def test_pings_are_no_part_of_a_reply() -> None:
    events = events_of([READ, says("a"), done()])
    pinged = [event for each in events for event in (PING, each)]
    assert collected(pinged) == collected(events)


def test_events_that_come_together_are_collected_alike() -> None:
    events = events_of([READ, says("a"), done()])

    async def together() -> AsyncIterator[list[StreamEvent]]:
        yield events

    assert asyncio.run(collect(together())) == collected(events)


def test_a_failed_reply_raises_its_error_whole() -> None:
    failed = fails("busy", "overloaded_error")
    failed.error.details = {"error_code": "x"}
    with pytest.raises(MessagesError) as raised:
        collected(events_of([READ, says("a"), failed]))
    assert (raised.value.kind, raised.value.message) == ("overloaded_error", "busy")
    assert raised.value.details == {"error_code": "x"}


# Inputs.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"x": 1}', {"x": 1}),
        ('{"x": 1, "y": "a', {"x": 1}),
        ('{"x": 1', {"x": 1}),
        ("{'x': 1}", {INVALID_JSON_KEY: "{'x': 1}"}),
        ('{"x": 1,}', {INVALID_JSON_KEY: '{"x": 1,}'}),
        ('{"x": "\\ud83c"}', {INVALID_JSON_KEY: '{"x": "\\ud83c"}'}),
        ("[" * 500, {INVALID_JSON_KEY: "[" * 500}),
    ],
    ids=["none", "blank", "empty", "whole", "cut-string", "cut-object", "quotes", "comma", "pair", "deep"],
)
def test_input_is_read_as_far_as_it_is_whole(text: str, expected: Any) -> None:
    assert parse_tool_input(text) == expected


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1E+0999", "9" * 400 + ".0"], ids=lambda it: it[:9]
)
def test_a_collected_reply_is_json_that_every_client_can_read(number: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    message = collected(events_of([READ, calls(0, "f", f'{{"x": {number}}}'), done()]))
    assert json.loads(dump(message), parse_constant=refuse)["content"][0]["name"] == "f"
