"""The collected reply is what the official SDK makes of the stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings

from stream.oracle import final_message
from stream.playbook import READ, call_piece, events_of, failure, finish, text_piece, thinking_piece
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
    "empty": (finish(),),
    "text": (text_piece("Hel"), text_piece("lo"), finish()),
    "text with blank edges": (text_piece("a\n"), text_piece("\n  b "), finish()),
    "unicode": (text_piece("日本語 🎉 é\u2028\u0085\x00"), finish()),
    "thinking": (thinking_piece("Let me "), thinking_piece("see."), text_piece("Yes."), finish()),
    "thinking alone": (thinking_piece("Let me see."), finish("length")),
    "call": (text_piece("Look."), call_piece(0, "f", '{"x": [1, 2.5, null]}'), finish()),
    "call in pieces": (
        call_piece(0, "f", '{"x'),
        call_piece(0, None, '": "a'),
        call_piece(0, None, '\\n"}'),
        finish(),
    ),
    "call without arguments": (call_piece(0, "now"), finish()),
    "call with an empty object": (call_piece(0, "now", "{}"), finish()),
    "call after white space": (call_piece(0, "f", "\n"), call_piece(0, None, '{"x": 1}'), finish()),
    "call with unicode": (call_piece(0, "f", '{"ü": "🎉 \\ud83c\\udf89"}'), finish()),
    "call cut in a pair": (call_piece(0, "f", '{"x": "\\ud83c'), call_piece(0, None, '\\udf89"}'), finish()),
    "cut at the start": (call_piece(0, "f", "{"), finish("length")),
    "cut in a key": (call_piece(0, "f", '{"x": 1, "yy'), finish("length")),
    "cut in a string": (call_piece(0, "f", '{"x": 1, "y": "ab'), finish("length")),
    "cut in an escape": (call_piece(0, "f", '{"x": 1, "y": "a\\u00'), finish("length")),
    "cut in a number": (call_piece(0, "f", '{"x": -12.'), finish("length")),
    "cut in a word": (call_piece(0, "f", '{"x": [tru'), finish("length")),
    "parallel calls": (
        call_piece(0, "f", '{"x":'),
        call_piece(1, "g", '{"y": 2}'),
        call_piece(0, None, " 1}"),
        text_piece("Done."),
        finish(),
    ),
    "stop sequence": (text_piece("a"), finish("stop_sequence", "END")),
    "refusal": (text_piece("a"), finish("refusal")),
    "window": (text_piece("a"), finish("window")),
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
    with pytest.raises(MessagesError) as raised:
        collected(events)
    with pytest.raises(anthropic.APIStatusError) as sdk_error:
        final_message(events)
    assert sdk_error.value.body == events[-1]
    assert raised.value.message == events[-1]["error"]["message"]  # type: ignore[typeddict-item]


# The message itself.


NOT_REPORTED = dict.fromkeys(("output_tokens_details", "server_tool_use", "inference_geo", "speed"))


def test_a_collected_message_in_full() -> None:
    usage = {"input_tokens": 36, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 64}
    cache = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    assert collected(
        events_of([READ, thinking_piece("a"), text_piece("b"), call_piece(0, "f", '{"x": 1}'), finish()])
    ) == {
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
    message = collected(events_of([READ, thinking_piece("a"), finish()], show_thinking=False))
    assert message["content"] == [{"type": "thinking", "thinking": "", "signature": "<a>"}]


def test_applied_edits_and_diagnostics_are_collected() -> None:
    message = collected(
        events_of([READ, finish()], applied_edits=[], diagnostics={"cache_miss_reason": None})
    )
    assert message["context_management"] == {"applied_edits": []}
    assert message["diagnostics"] == {"cache_miss_reason": None}


def test_pings_are_no_part_of_a_reply() -> None:
    events = events_of([READ, text_piece("a"), finish()])
    pinged = [event for each in events for event in (PING, each)]
    assert collected(pinged) == collected(events)


def test_events_that_come_together_are_collected_alike() -> None:
    events = events_of([READ, text_piece("a"), finish()])

    async def together() -> AsyncIterator[list[StreamEvent]]:
        yield events

    assert asyncio.run(collect(together())) == collected(events)


def test_a_failed_reply_raises_its_error_with_every_field() -> None:
    failed = failure("busy", "overloaded_error")
    failed.error.details = {"error_code": "x"}
    with pytest.raises(MessagesError) as raised:
        collected(events_of([READ, text_piece("a"), failed]))
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
    ids=["none", "blank", "empty", "complete", "cut-string", "cut-object", "quotes", "comma", "pair", "deep"],
)
def test_truncated_input_is_parsed_up_to_its_last_complete_value(text: str, expected: Any) -> None:
    assert parse_tool_input(text) == expected


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1E+0999", "9" * 400 + ".0"], ids=lambda it: it[:9]
)
def test_a_collected_reply_is_json_that_every_client_can_read(number: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    message = collected(events_of([READ, call_piece(0, "f", f'{{"x": {number}}}'), finish()]))
    assert json.loads(dump(message), parse_constant=refuse)["content"][0]["name"] == "f"
