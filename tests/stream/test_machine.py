"""The complete list of events for each thing that can happen in a reply."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import anthropic
import pytest
from anthropic.types.raw_message_delta_event import Delta as RawMessageDelta

from stream import grammar
from stream.playbook import (
    MESSAGE_ID,
    READ,
    REQUEST_ID,
    START,
    call_piece,
    compact,
    end,
    error,
    events_of,
    failure,
    finish,
    play,
    reply,
    sign,
    text,
    text_piece,
    thinking,
    thinking_piece,
    tool,
)
from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
    CompactionSummary,
    CompleteBlock,
    EndReason,
    EngineCitations,
    EngineDelta,
    PromptProcessed,
    ReplyFinished,
    ServerToolUse,
)
from vllm_messages_plugin.stream.machine import TRANSITIONS, IllegalDeltaOrderError, Machine
from vllm_messages_plugin.stream.reply import make_usage
from vllm_messages_plugin.stream.states import State
from vllm_messages_plugin.wire.message import new_id

# Blocks in their order.


def test_text_streams_as_it_comes() -> None:
    assert play(text_piece("Hel"), text_piece("lo"), finish()) == [
        START,
        *text(0, "Hel", "lo"),
        *end("end_turn"),
    ]


def test_thinking_then_text_then_two_calls() -> None:
    assert play(
        thinking_piece("Let me "),
        thinking_piece("see."),
        text_piece("Checking both."),
        call_piece(0, "weather", '{"city": '),
        call_piece(0, None, '"Oslo"}'),
        call_piece(1, "time", '{"zone": "CET"}'),
        finish(),
    ) == [
        START,
        *thinking(0, "Let me ", "see."),
        *text(1, "Checking both."),
        *tool(2, 0, "weather", '{"city": ', '"Oslo"}'),
        *tool(3, 1, "time", '{"zone": "CET"}'),
        *end("tool_use"),
    ]


def test_text_after_a_call_opens_a_new_block() -> None:
    assert play(text_piece("a"), call_piece(0, "f", "{}"), text_piece("b"), finish()) == [
        START,
        *text(0, "a"),
        *tool(1, 0, "f", "{}"),
        *text(2, "b"),
        *end("tool_use"),
    ]


def test_thinking_after_text_and_after_a_call_opens_new_blocks() -> None:
    assert play(
        text_piece("a"),
        thinking_piece("b"),
        call_piece(0, "f", "{}"),
        thinking_piece("c"),
        text_piece("d"),
        finish(),
    ) == [
        START,
        *text(0, "a"),
        *thinking(1, "b"),
        *tool(2, 0, "f", "{}"),
        *thinking(3, "c"),
        *text(4, "d"),
        *end("tool_use"),
    ]


def test_a_call_after_thinking_signs_the_thinking_first() -> None:
    assert play(thinking_piece("hm"), call_piece(0, "f", "{}"), finish()) == [
        START,
        *thinking(0, "hm"),
        *tool(1, 0, "f", "{}"),
        *end("tool_use"),
    ]


def test_an_empty_reply_has_no_blocks() -> None:
    assert play(finish()) == [START, *end("end_turn")]


def test_a_call_without_arguments_is_a_call() -> None:
    assert play(call_piece(0, "now"), finish()) == [START, *tool(0, 0, "now"), *end("tool_use")]


def test_empty_pieces_give_no_events() -> None:
    assert play(
        text_piece(""), thinking_piece(""), text_piece("a"), text_piece(""), thinking_piece(""), finish()
    ) == [
        START,
        *text(0, "a"),
        *end("end_turn"),
    ]


# Parallel calls, interleaved.


def test_arguments_of_a_call_that_come_after_the_next_has_begun_stay_in_their_call() -> None:
    assert play(
        call_piece(0, "a", '{"x":'),
        call_piece(1, "b", '{"y"'),
        call_piece(0, None, " 1}"),
        call_piece(1, None, ": 2}"),
        finish(),
    ) == [
        START,
        *tool(0, 0, "a", '{"x":', " 1}"),
        *tool(1, 1, "b", '{"y"', ": 2}"),
        *end("tool_use"),
    ]


def test_three_calls_interleaved_come_out_in_the_order_they_began() -> None:
    assert play(
        call_piece(0, "a", "{"),
        call_piece(1, "b", "{"),
        call_piece(2, "c", '{"z": 3}'),
        call_piece(1, None, '"y": 2}'),
        call_piece(0, None, '"x": 1}'),
        finish(),
    ) == [
        START,
        *tool(0, 0, "a", "{", '"x": 1}'),
        *tool(1, 1, "b", '{"y": 2}'),
        *tool(2, 2, "c", '{"z": 3}'),
        *end("tool_use"),
    ]


def test_a_call_behind_one_that_never_ends_comes_at_the_finish() -> None:
    assert play(call_piece(0, "a", '{"x":'), call_piece(1, "b", "{}"), finish("length")) == [
        START,
        *tool(0, 0, "a", '{"x":'),
        *tool(1, 1, "b", "{}"),
        *end("max_tokens"),
    ]


def test_a_late_name_keeps_the_arguments_that_came_before_it() -> None:
    assert play(
        call_piece(0, None, '{"x":'), call_piece(0, None, " 1"), call_piece(0, "a", "}"), finish()
    ) == [
        START,
        *tool(0, 0, "a", '{"x": 1}'),
        *end("tool_use"),
    ]


def test_text_goes_on_while_a_call_has_no_name_yet() -> None:
    assert play(text_piece("a"), call_piece(0), text_piece("b"), call_piece(0, "f", "{}"), finish()) == [
        START,
        *text(0, "a", "b"),
        *tool(1, 0, "f", "{}"),
        *end("tool_use"),
    ]


def test_a_call_waits_for_the_name_of_the_one_before_it() -> None:
    assert play(call_piece(0), call_piece(1, "b", "{}"), call_piece(0, "a", "{}"), finish()) == [
        START,
        *tool(0, 0, "a", "{}"),
        *tool(1, 1, "b", "{}"),
        *end("tool_use"),
    ]


def test_a_name_that_is_repeated_is_the_same_name() -> None:
    assert play(call_piece(0, "f", "{"), call_piece(0, "f", "}"), finish()) == [
        START,
        *tool(0, 0, "f", "{", "}"),
        *end("tool_use"),
    ]


def test_a_call_that_never_gets_a_name_comes_back_as_text() -> None:
    assert play(call_piece(0, None, '{"x":'), call_piece(0, None, " 1}"), finish()) == [
        START,
        *text(0, '{"x": 1}'),
        *end("end_turn"),
    ]


def test_a_nameless_call_between_named_ones_loses_nothing() -> None:
    assert play(
        call_piece(0, "a", "{}"), call_piece(1, None, '{"y": 2}'), call_piece(2, "c", "{}"), finish()
    ) == [
        START,
        *tool(0, 0, "a", "{}"),
        *tool(1, 1, "c", "{}"),
        *text(2, '{"y": 2}'),
        *end("tool_use"),
    ]


def test_a_nameless_call_without_arguments_leaves_no_trace() -> None:
    assert play(text_piece("a"), call_piece(0), finish()) == [START, *text(0, "a"), *end("end_turn")]
    assert play(call_piece(0), finish(), continues=True) == [START, *end("end_turn")]


# White space before the arguments: the SDKs' accumulators can't parse a delta that is blank so far.


@pytest.mark.parametrize("pieces", [(" ", "{}"), ("\n", " ", "{}"), ("\n ", ' {"x"', ": 1}")], ids=repr)
def test_the_first_arguments_streamed_are_not_blank(pieces: tuple[str, ...]) -> None:
    events = play(
        call_piece(0, "f", pieces[0]), *(call_piece(0, None, piece) for piece in pieces[1:]), finish()
    )
    streamed = [event[2] for event in events if event[0] == "input_json_delta"]
    assert streamed[0] == ""
    assert streamed[1].strip()
    assert "".join(streamed).strip() == "".join(pieces).strip()


def test_arguments_that_are_blank_to_the_end_are_no_arguments() -> None:
    assert play(call_piece(0, "now", " \n"), finish()) == [START, *tool(0, 0, "now"), *end("tool_use")]


# Text and thinking in the middle of a call are buffered until the call is complete.


def test_text_in_the_middle_of_a_call_is_held_back_until_the_call_is_complete() -> None:
    assert play(
        call_piece(0, "f", '{"x":'),
        text_piece("hm"),
        text_piece("!"),
        call_piece(0, None, " 1}"),
        text_piece("?"),
        finish(),
    ) == [
        START,
        *tool(0, 0, "f", '{"x":', " 1}"),
        *text(1, "hm", "!", "?"),
        *end("tool_use"),
    ]


def test_thinking_in_the_middle_of_a_call_is_held_back_until_the_call_is_complete() -> None:
    assert play(call_piece(0, "f", '{"x":'), thinking_piece("hm"), call_piece(0, None, " 1}"), finish()) == [
        START,
        *tool(0, 0, "f", '{"x":', " 1}"),
        *thinking(1, "hm"),
        *end("tool_use"),
    ]


def test_what_is_held_back_keeps_its_order() -> None:
    assert play(
        call_piece(0, "f", "{"),
        text_piece("a"),
        thinking_piece("b"),
        text_piece("c"),
        call_piece(0, None, "}"),
        finish(),
    ) == [
        START,
        *tool(0, 0, "f", "{", "}"),
        *text(1, "a"),
        *thinking(2, "b"),
        *text(3, "c"),
        *end("tool_use"),
    ]


def test_held_text_follows_the_call_at_once_and_not_at_the_end() -> None:
    so_far = play(call_piece(0, "f", "{"), text_piece("a"), call_piece(0, None, "}"))
    assert so_far == [START, *tool(0, 0, "f", "{", "}"), *text(1, "a")[:-1]]


def test_braces_inside_strings_do_not_end_a_call() -> None:
    assert play(call_piece(0, "f", '{"x": "}\\"}'), text_piece("a"), call_piece(0, None, '"}'), finish()) == [
        START,
        *tool(0, 0, "f", '{"x": "}\\"}', '"}'),
        *text(1, "a"),
        *end("tool_use"),
    ]


def test_text_held_behind_a_cut_call_is_not_lost() -> None:
    assert play(call_piece(0, "f", '{"x":'), text_piece("a"), finish("length")) == [
        START,
        *tool(0, 0, "f", '{"x":'),
        *text(1, "a"),
        *end("max_tokens"),
    ]


# White space.


@pytest.mark.parametrize(
    "deltas",
    [
        (text_piece("\n\n"), call_piece(0, "f", "{}")),
        (text_piece("\n"), text_piece("\n"), call_piece(0, "f", "{}"), text_piece("\n")),
        (thinking_piece("\n\n"), text_piece(" "), call_piece(0, "f", "{}")),
        (call_piece(0, "f", "{"), text_piece("\n"), call_piece(0, None, "}"), text_piece("\n")),
    ],
    ids=["before", "around", "blank-thinking", "inside"],
)
def test_white_space_around_a_call_gives_no_block(deltas: tuple[EngineDelta, ...]) -> None:
    opened = [event for event in play(*deltas, finish()) if event[0] == "open"]
    assert opened == [("open", 0, "tool_use", "toolu_0", "f")]


def test_white_space_between_thinking_and_text_is_no_part_of_either() -> None:
    assert play(thinking_piece("hm"), text_piece("\n"), text_piece("\n\nHello"), finish()) == [
        START,
        *thinking(0, "hm"),
        *text(1, "Hello"),
        *end("end_turn"),
    ]


def test_white_space_that_was_dropped_does_not_come_back_later() -> None:
    assert play(text_piece("  "), call_piece(0, "f", "{}"), text_piece("b"), finish()) == [
        START,
        *tool(0, 0, "f", "{}"),
        *text(1, "b"),
        *end("tool_use"),
    ]


def test_white_space_between_two_calls_gives_no_block() -> None:
    assert play(call_piece(0, "a", "{}"), text_piece("\n"), call_piece(1, "b", "{}"), finish()) == [
        START,
        *tool(0, 0, "a", "{}"),
        *tool(1, 1, "b", "{}"),
        *end("tool_use"),
    ]


def test_white_space_inside_thinking_does_not_break_it() -> None:
    assert play(thinking_piece("a"), text_piece("\n"), thinking_piece("b"), finish()) == [
        START,
        *thinking(0, "a", "b"),
        *end("end_turn"),
    ]


def test_white_space_within_and_after_text_is_kept() -> None:
    assert play(text_piece("a"), text_piece("\n\n"), text_piece("b\n"), finish()) == [
        START,
        *text(0, "a", "\n\n", "b\n"),
        *end("end_turn"),
    ]


@pytest.mark.parametrize(
    "deltas",
    [
        (text_piece("\n\nHello"),),
        (text_piece("\n"), text_piece("\nHello")),
        (thinking_piece("\n"), text_piece("\n\nHello")),
    ],
    ids=["whole", "split", "after-blank-thinking"],
)
def test_white_space_at_the_head_of_a_fresh_reply_is_the_templates(deltas: tuple[EngineDelta, ...]) -> None:
    assert play(*deltas, finish()) == [START, *text(0, "Hello"), *end("end_turn")]


@pytest.mark.parametrize(
    "deltas",
    [
        (text_piece("    return x"),),
        (text_piece("\n"), text_piece("    return x")),
        (text_piece(" \n"), text_piece("\n    return x")),
    ],
    ids=["alone", "after-a-line-end", "after-a-blank-line"],
)
def test_an_indentation_at_the_head_of_a_reply_is_the_models(deltas: tuple[EngineDelta, ...]) -> None:
    assert play(*deltas, finish()) == [START, *text(0, "    return x"), *end("end_turn")]


def test_a_reply_of_white_space_is_empty() -> None:
    assert play(text_piece(" \n"), text_piece("\n"), finish()) == [START, *end("end_turn")]


def test_blank_thinking_gives_no_block() -> None:
    assert play(thinking_piece("\n"), thinking_piece("\n\n"), text_piece("Hello"), finish()) == [
        START,
        *text(0, "Hello"),
        *end("end_turn"),
    ]


def test_newlines_at_the_head_of_thinking_are_the_templates() -> None:
    assert play(thinking_piece("\n\nhm"), thinking_piece("\n"), finish()) == [
        START,
        *thinking(0, "hm", "\n"),
        *end("end_turn"),
    ]


def test_a_prefilled_reply_keeps_its_leading_white_space() -> None:
    assert play(text_piece(" "), text_piece("world"), finish(), continues=True) == [
        START,
        *text(0, " world"),
        *end("end_turn"),
    ]


def test_a_prefilled_reply_of_white_space_is_empty() -> None:
    assert play(text_piece(" "), text_piece("\n"), finish(), continues=True) == [START, *end("end_turn")]


def test_only_the_head_of_a_prefilled_reply_keeps_white_space() -> None:
    assert play(text_piece(" a"), call_piece(0, "f", "{}"), text_piece("\nb"), finish(), continues=True) == [
        START,
        *text(0, " a"),
        *tool(1, 0, "f", "{}"),
        *text(2, "b"),
        *end("tool_use"),
    ]


def test_an_empty_piece_opens_no_block_in_a_prefilled_reply() -> None:
    assert play(text_piece(""), finish(), continues=True) == [START, *end("end_turn")]


# Ends.

WHOLE_CALL = call_piece(0, "f", "{}")
CUT_CALL = call_piece(0, "f", '{"x":')


STOP_REASONS: dict[str, tuple[tuple[EngineDelta, ...], EndReason, tuple[str, ...]]] = {
    "nothing": ((), "stop", ("end_turn",)),
    "text": ((text_piece("a"),), "stop", ("end_turn",)),
    "call": ((WHOLE_CALL,), "stop", ("tool_use",)),
    "call then text": ((WHOLE_CALL, text_piece("a")), "stop", ("tool_use",)),
    "nameless call": ((call_piece(0, None, "{}"),), "stop", ("end_turn",)),
    "stop in a call": ((CUT_CALL,), "stop", ("max_tokens",)),
    "stop in the first of two calls": ((CUT_CALL, call_piece(1, "g", "{}")), "stop", ("max_tokens",)),
    "stop in a call before its arguments": (
        (call_piece(0, "f", ""),),
        "incomplete_call",
        ("max_tokens",),
    ),
    "stop after a call without arguments": ((call_piece(0, "f", ""),), "stop", ("tool_use",)),
    "length in text": ((text_piece("a"),), "length", ("max_tokens",)),
    "length in thinking": ((thinking_piece("a"),), "length", ("max_tokens",)),
    "length in a call": ((CUT_CALL,), "length", ("max_tokens",)),
    "length after a call": ((WHOLE_CALL,), "length", ("max_tokens",)),
    "window in text": ((text_piece("a"),), "window", ("model_context_window_exceeded",)),
    "window in a call": ((CUT_CALL,), "window", ("model_context_window_exceeded",)),
    "refusal in text": ((text_piece("a"),), "refusal", ("refusal",)),
    "refusal after a call": ((WHOLE_CALL,), "refusal", ("refusal",)),
    "sequence at once": ((), "stop_sequence", ("stop_sequence", "END")),
    "sequence in text": ((text_piece("a"),), "stop_sequence", ("stop_sequence", "END")),
    "sequence in a call": ((CUT_CALL,), "stop_sequence", ("stop_sequence", "END")),
    "sequence after a call": ((WHOLE_CALL,), "stop_sequence", ("tool_use",)),
    "sequence in the second call": (
        (WHOLE_CALL, call_piece(1, "g", '{"x"')),
        "stop_sequence",
        ("stop_sequence", "END"),
    ),
    "sequence after a nameless call": (
        (call_piece(0, None, "{}"),),
        "stop_sequence",
        ("stop_sequence", "END"),
    ),
    "sequence in a nameless second call": (
        (WHOLE_CALL, call_piece(1, None, "{")),
        "stop_sequence",
        ("tool_use",),
    ),
}


@pytest.mark.parametrize(("deltas", "reason", "expected"), STOP_REASONS.values(), ids=STOP_REASONS.keys())
def test_stop_reason(deltas: tuple[EngineDelta, ...], reason: EndReason, expected: tuple[str, ...]) -> None:
    matched = "END" if reason == "stop_sequence" else None
    assert play(*deltas, finish(reason, matched))[-2:] == end(*expected)


def test_a_call_cut_by_max_tokens_stays_visibly_cut() -> None:
    assert play(CUT_CALL, finish("length")) == [START, *tool(0, 0, "f", '{"x":'), *end("max_tokens")]


def test_a_refusal_carries_its_details() -> None:
    ended = events_of([READ, text_piece("a"), finish("refusal")])[-2]
    assert ended["type"] == "message_delta"
    assert ended["delta"] == {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": None},
        "container": None,
    }


# Failures.


@pytest.mark.parametrize(
    ("deltas", "blocks"),
    [
        ((), []),
        ((text_piece("a"),), text(0, "a")),
        ((thinking_piece("a"),), thinking(0, "a")),
        ((CUT_CALL,), tool(0, 0, "f", '{"x":')),
        ((text_piece("a"), WHOLE_CALL), [*text(0, "a"), *tool(1, 0, "f", "{}")]),
    ],
    ids=["between", "text", "thinking", "tool_use", "whole-call"],
)
def test_a_failure_closes_the_open_block_and_then_sends_the_error(deltas: Any, blocks: Any) -> None:
    assert play(*deltas, failure()) == [START, *blocks, *error()]


def test_a_failure_before_the_start_is_a_lone_error() -> None:
    assert [compact(event) for event in events_of([failure("busy", "overloaded_error")])] == error(
        "busy", "overloaded_error"
    )


def test_an_error_carries_its_details_and_the_request_id() -> None:
    failed = failure()
    failed.error.details = {"error_code": "x"}
    assert events_of([READ, failed])[-1] == {
        "type": "error",
        "error": {"type": "api_error", "message": "engine died", "details": {"error_code": "x"}},
        "request_id": REQUEST_ID,
    }


# The table.

REACHED: dict[State, list[EngineDelta]] = {
    State.BEFORE: [],
    State.BETWEEN: [READ],
    State.TEXT: [READ, text_piece("a")],
    State.THINKING: [READ, thinking_piece("a")],
    State.TOOL_USE: [READ, CUT_CALL],
    State.ENDED: [READ, finish()],
}
DELTAS: list[EngineDelta] = [
    READ,
    text_piece("b"),
    thinking_piece("b"),
    CitedText("b", [{"type": "char_location"}]),
    CitedTextEnd(),
    EngineCitations([{"type": "char_location"}]),
    call_piece(1, "g", "{}"),
    ServerToolUse({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, "{}"),
    CompleteBlock({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
    CompactionSummary({"type": "compaction", "content": "A heron.", "encrypted_content": None}),
    finish(),
    failure(),
]
STEPS = [(state, delta) for state in State for delta in DELTAS]


def in_state(state: State) -> tuple[Machine, list[Any]]:
    machine = Machine(reply())
    return machine, [event for delta in REACHED[state] for event in machine.feed(delta)]


@pytest.mark.parametrize(
    ("state", "delta"),
    [step for step in STEPS if (step[0], type(step[1])) in TRANSITIONS],
    ids=lambda part: part.name if isinstance(part, State) else type(part).__name__,
)
def test_every_transition_of_the_table_leads_to_a_legal_reply(state: State, delta: EngineDelta) -> None:
    machine, events = in_state(state)
    events += machine.feed(delta)
    if not machine.ended:
        events += machine.feed(finish())
    assert machine.ended
    grammar.check(events)


@pytest.mark.parametrize(
    ("state", "delta"),
    [step for step in STEPS if (step[0], type(step[1])) not in TRANSITIONS],
    ids=lambda part: part.name if isinstance(part, State) else type(part).__name__,
)
def test_a_step_that_is_not_in_the_table_raises(state: State, delta: EngineDelta) -> None:
    machine, _ = in_state(state)
    with pytest.raises(IllegalDeltaOrderError, match=f"{type(delta).__name__} in state {state.name}"):
        machine.feed(delta)


def test_the_table_knows_every_delta_and_every_state_but_the_last() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.ENDED}
    assert {kind for _, kind in TRANSITIONS} == {type(delta) for delta in DELTAS}


# Thinking that is not shown.


def test_omitted_thinking_has_only_its_signature() -> None:
    assert play(thinking_piece("a"), thinking_piece("b"), text_piece("c"), finish(), show_thinking=False) == [
        START,
        *thinking(0, signature=sign("ab")),
        *text(1, "c"),
        *end("end_turn"),
    ]


@pytest.mark.parametrize(
    ("shown", "texts"), [(True, ("a", "b")), (False, ("", ""))], ids=["shown", "omitted"]
)
def test_counted_thinking_carries_the_tokens_of_each_piece(shown: bool, texts: tuple[str, str]) -> None:
    assert play(
        thinking_piece("a", 3), thinking_piece("b", 2), finish(), show_thinking=shown, count_thinking=True
    ) == [
        START,
        ("open", 0, "thinking"),
        ("thinking_delta", 0, texts[0], 3),
        ("thinking_delta", 0, texts[1], 2),
        ("signature_delta", 0, "<ab>"),
        ("close", 0),
        *end("end_turn"),
    ]


def test_each_thinking_block_is_signed_for_itself() -> None:
    events = play(thinking_piece("a"), text_piece("b"), thinking_piece("c"), finish())
    assert [event[2] for event in events if event[0] == "signature_delta"] == ["<a>", "<c>"]


# The events in full.


def test_the_message_start_in_full() -> None:
    assert events_of([READ]) == [
        {
            "type": "message_start",
            "message": {
                "id": MESSAGE_ID,
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "container": None,
                "diagnostics": None,
                "usage": {
                    "input_tokens": 36,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 64,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 0,
                    "output_tokens_details": None,
                    "server_tool_use": None,
                    "service_tier": "standard",
                    "inference_geo": None,
                    "speed": None,
                },
            },
        }
    ]


def test_blocks_open_with_every_field_a_reader_adds_to() -> None:
    events = events_of([READ, thinking_piece("a"), text_piece("b"), call_piece(0, "f", "{}"), finish()])
    assert [event["content_block"] for event in events if event["type"] == "content_block_start"] == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "toolu_0", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ]


@pytest.mark.parametrize("cached", [0, 64, 100])
def test_the_input_counters_are_disjoint(cached: int) -> None:
    usage = make_usage(PromptProcessed(100, cached), 7)
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == 100
    assert usage["cache_read_input_tokens"] == cached
    assert usage["cache_creation_input_tokens"] == 0
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}


def test_the_last_usage_repeats_the_input_and_counts_the_thinking() -> None:
    ended = events_of([READ, thinking_piece("a"), ReplyFinished("stop", 9, thinking_tokens=4)])[-2]
    assert ended["type"] == "message_delta"
    assert ended["usage"] == make_usage(READ, 9, 4)
    assert ended["usage"]["output_tokens_details"] == {"thinking_tokens": 4}


def test_diagnostics_stand_in_the_first_event_and_applied_edits_in_the_last() -> None:
    edit = {"type": "clear_tool_uses_20250919", "cleared_tool_uses": 1, "cleared_input_tokens": 5}
    first, *_, last, _ = events_of(
        [READ, finish()], diagnostics={"cache_miss_reason": None}, applied_edits=[edit]
    )
    assert first["type"] == "message_start"
    assert first["message"]["diagnostics"] == {"cache_miss_reason": None}
    assert last["type"] == "message_delta"
    assert last["context_management"] == {"applied_edits": [edit]}


def test_diagnostics_are_null_and_applied_edits_are_omitted_unless_requested() -> None:
    first, *_, last, _ = events_of([READ, finish()])
    assert first["message"]["diagnostics"] is None  # type: ignore[typeddict-item]
    assert "context_management" not in last


def test_every_field_that_the_sdk_declares_is_present() -> None:
    """The official TypeScript SDK declares the fields of these types as present, null or not."""
    first, *_, last, _ = events_of([READ, finish()])
    assert first["type"] == "message_start"
    assert last["type"] == "message_delta"
    assert set(anthropic.types.Message.model_fields) == set(first["message"])
    assert set(RawMessageDelta.model_fields) == set(last["delta"])
    assert set(anthropic.types.Usage.model_fields) == set(first["message"]["usage"])
    assert set(anthropic.types.MessageDeltaUsage.model_fields) <= set(last["usage"])


def test_ids_are_fresh_and_carry_their_prefix() -> None:
    ids = {new_id("toolu") for _ in range(100)}
    assert len(ids) == 100
    assert all(found.startswith("toolu_") and len(found) > 20 for found in ids)


# Cost.

FEW, MANY = 2_500, 20_000


def cost(deltas: Callable[[int], Iterable[EngineDelta]], length: int) -> float:
    """Processor time of a reply, the best of three."""

    def once() -> float:
        script = [READ, *deltas(length), finish()]
        begun = time.process_time()
        events_of(script)
        return time.process_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "deltas",
    [
        lambda n: (text_piece("ab") for _ in range(n)),
        lambda n: (text_piece("\n\n") for _ in range(n)),
        lambda n: [thinking_piece("a"), *(text_piece("\n\n") for _ in range(n))],
        lambda n: (thinking_piece("ab") for _ in range(n)),
        lambda n: [call_piece(0, "f", '{"x": "'), *(call_piece(0, None, "ab") for _ in range(n))],
        lambda n: [CUT_CALL, *(text_piece("ab") for _ in range(n))],
        lambda n: [CUT_CALL, *(call_piece(1, "g", "ab") for _ in range(n))],
        lambda n: (call_piece(0, None, "ab") for _ in range(n)),
    ],
    ids=["text", "blanks", "blanks-after", "thinking", "arguments", "held", "interleaved", "nameless"],
)
def test_a_reply_costs_linear_time(deltas: Callable[[int], Iterable[EngineDelta]]) -> None:
    assert cost(deltas, MANY) < 3 * (MANY / FEW) * cost(deltas, FEW)
