"""Properties of every reply: its events are legal, and none of its text is lost."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stream import grammar
from stream.playbook import events_of, reply
from stream.scripts import Script, cut, ends, failures, finishes, json_texts, json_values, scripts
from vllm_messages_plugin.stream.deltas import PromptProcessed
from vllm_messages_plugin.stream.json_progress import JsonProgress
from vllm_messages_plugin.stream.reply import BreakpointLengths, make_usage
from vllm_messages_plugin.stream.run import ReplyEncoder
from vllm_messages_plugin.wire.sse import delta_frame, frames

thorough = settings(max_examples=150, deadline=None)


def solid(text: str) -> str:
    """The text without its white space: at the edges of blocks that is a template's."""
    return "".join(text.split())


def joined_deltas(events: Sequence[Any], kind: str, key: str) -> str:
    """All deltas of a kind, joined."""
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return "".join(delta[key] for delta in deltas if delta["type"] == kind)


def calls_of(events: Sequence[Any]) -> list[tuple[str, str]]:
    """Name and arguments of every call, by the index of its block."""
    names = {
        event["index"]: event["content_block"]["name"]
        for event in events
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use"
    }
    return [
        (name, joined_deltas([event for event in events if event.get("index") == index], *INPUT).strip())
        for index, name in names.items()
    ]


INPUT = ("input_json_delta", "partial_json")


@thorough
@given(scripts(ends), st.booleans(), st.booleans())
def test_every_reply_is_legal(script: Script, continues: bool, show_thinking: bool) -> None:
    events = events_of(script.deltas, continues=continues, show_thinking=show_thinking)
    grammar.check(events, continues=continues)


@thorough
@given(scripts(ends), st.booleans(), st.booleans(), st.booleans())
def test_deltas_that_are_encoded_without_an_event_have_the_same_bytes(
    script: Script, continues: bool, show_thinking: bool, count_thinking: bool
) -> None:
    options = {"continues": continues, "show_thinking": show_thinking, "count_thinking": count_thinking}
    encoder = ReplyEncoder(reply(**options), frames, delta_frame)
    sent = [encoder.feed((delta,)) for delta in script.deltas]
    assert b"".join(filter(None, sent)) == frames(events_of(script.deltas, **options))


@thorough
@given(scripts(finishes))
def test_no_text_is_lost_and_the_order_is_kept(script: Script) -> None:
    events = events_of(script.deltas)
    nameless = "".join(call.arguments for call in script.calls if call.name is None)
    assert solid(joined_deltas(events, "text_delta", "text")) == solid(script.text + nameless)
    assert solid(joined_deltas(events, "thinking_delta", "thinking")) == solid(script.thinking)
    assert calls_of(events) == [(call.name, call.arguments.strip()) for call in script.calls if call.name]


@thorough
@given(scripts(failures))
def test_a_failed_reply_has_sent_the_beginning_of_its_text(script: Script) -> None:
    events = events_of(script.deltas)
    assert solid(script.text).startswith(solid(joined_deltas(events, "text_delta", "text")))
    assert solid(script.thinking).startswith(solid(joined_deltas(events, "thinking_delta", "thinking")))
    named = [call for call in script.calls if call.name]
    for (name, arguments), call in zip(calls_of(events), named, strict=False):
        assert name == call.name
        assert call.arguments.strip().startswith(arguments)


@thorough
@given(scripts(ends))
def test_hidden_thinking_is_signed_like_shown_thinking(script: Script) -> None:
    shown, hidden = (events_of(script.deltas, show_thinking=show) for show in (True, False))
    assert joined_deltas(hidden, "thinking_delta", "thinking") == ""
    assert joined_deltas(hidden, "signature_delta", "signature") == joined_deltas(
        shown, "signature_delta", "signature"
    )


@st.composite
def prompts(draw: st.DrawFn) -> tuple[PromptProcessed, BreakpointLengths]:
    """A prompt with a part of it cached, and cache breakpoints anywhere in it."""
    tokens = draw(st.integers(0, 1000))
    cached, until_5m, until_1h = (draw(st.integers(0, tokens)) for _ in range(3))
    return PromptProcessed(tokens, cached), BreakpointLengths(until_5m, until_1h)


@thorough
@given(prompts())
def test_the_input_counters_are_disjoint_and_add_up_to_the_prompt(
    prompt: tuple[PromptProcessed, BreakpointLengths],
) -> None:
    read, breakpoints = prompt
    usage = make_usage(read, 7, breakpoints=breakpoints)
    parts = [
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        usage["cache_creation"]["ephemeral_5m_input_tokens"],
        usage["cache_creation"]["ephemeral_1h_input_tokens"],
    ]
    assert min(parts) >= 0
    assert sum(parts) == read.prompt_tokens
    assert usage["cache_creation_input_tokens"] == sum(parts[2:])


# Progress of a JSON text.


def is_complete(text: str) -> bool:
    """Whether the text is a complete JSON value, by the standard library."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


containers = st.lists(json_values, max_size=3) | st.dictionaries(st.text(max_size=3), json_values, max_size=3)


@thorough
@given(json_texts(containers))
def test_json_is_complete_exactly_when_it_can_be_read(text: str) -> None:
    progress = JsonProgress()
    for end, character in enumerate(text, start=1):
        progress.feed(character)
        assert progress.complete == is_complete(text[:end]), text[:end]


@thorough
@given(json_texts(containers).flatmap(cut))
def test_json_may_come_in_any_pieces(pieces: list[str]) -> None:
    progress, so_far = JsonProgress(), ""
    for piece in pieces:
        progress.feed(piece)
        so_far += piece
        assert progress.complete == is_complete(so_far), so_far


def test_an_empty_piece_between_a_backslash_and_what_it_escapes_changes_nothing() -> None:
    progress = JsonProgress()
    for piece in ('{"a": "\\', "", '"}'):
        progress.feed(piece)
    assert not progress.complete
    progress.feed('"}')
    assert progress.complete


@given(st.none() | st.booleans() | st.integers() | st.text())
def test_a_bare_value_is_never_complete(value: Any) -> None:
    progress = JsonProgress()
    progress.feed(json.dumps(value))
    assert not progress.complete
