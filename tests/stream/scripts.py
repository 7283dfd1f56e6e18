"""Hypothesis strategies: JSON values, ways to split a text, and complete scripts of deltas."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.wire.errors import MessagesError

MOST_CALLS = 3

characters = st.characters(codec="utf-8")
words = st.one_of(
    st.sampled_from(["a", "Hello", " ", "\n\n", "\t", "", "ü", "日本", "🎉", '{"', "\\", "\u2028"]),
    st.text(characters, max_size=4),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(words, json_values, max_size=3)


@st.composite
def json_texts(draw: st.DrawFn, values: st.SearchStrategy[Any] = json_objects) -> str:
    """A JSON text, dense or spread out, with white space around it."""
    blank = st.sampled_from(["", "", " ", "\n"])
    text = json.dumps(
        draw(values), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1]))
    )
    return draw(blank) + text + draw(blank)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, of which some may be empty; now and then a piece for each character."""
    if text and draw(st.integers(0, 3)) == 0:
        return list(text)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:stop] for start, stop in zip([0, *places], [*places, len(text)], strict=True)]


@dataclass
class Call:
    """A call of a script; without a name no call can be made of it."""

    name: str | None
    arguments: str
    pieces: list[EngineToolCall]


@dataclass
class Script:
    """Deltas in a legal order, and their content."""

    deltas: list[EngineDelta] = field(default_factory=list)
    text: str = ""
    thinking: str = ""
    calls: list[Call] = field(default_factory=list)


@st.composite
def _call(draw: st.DrawFn, number: int, *, named: bool) -> Call:
    text = draw(st.one_of(json_texts(), st.just("")))
    pieces = draw(cut(text))
    name = draw(st.sampled_from(["f", "get_weather", "mcp__x__y"]))
    if not named and draw(st.integers(0, 4)) == 0:
        return Call(None, text, [EngineToolCall(number, None, piece) for piece in pieces])
    named_at = draw(st.sampled_from([0, 0, 0, len(pieces) - 1]))
    return Call(
        name,
        text,
        [EngineToolCall(number, name if at == named_at else None, piece) for at, piece in enumerate(pieces)],
    )


@st.composite
def scripts(draw: st.DrawFn, end: st.SearchStrategy[EngineDelta], *, named: bool = False) -> Script:
    """Any legal sequence of deltas: text, thinking and pieces of several calls in any mixture, and an end."""
    script = Script([draw(st.builds(PromptProcessed, st.integers(64, 1000), st.integers(0, 64)))])
    script.calls = [draw(_call(number, named=named)) for number in range(draw(st.integers(0, MOST_CALLS)))]
    waiting = [list(call.pieces) for call in script.calls]
    moves = st.one_of(words.map(EngineText), words.map(EngineThinking), st.integers(0, MOST_CALLS - 1))
    begun = 0
    for move in draw(st.lists(moves, max_size=12)):
        if isinstance(move, int):
            number = min(move, begun, len(waiting) - 1)
            begun = max(begun, number + 1)
            script.deltas += _next(waiting, number)
        else:
            script.deltas.append(move)
            script.text += move.text if isinstance(move, EngineText) else ""
            script.thinking += move.text if isinstance(move, EngineThinking) else ""
    script.deltas += [piece for pieces in waiting for piece in pieces]
    script.deltas.append(draw(end))
    return script


def _next(waiting: Sequence[list[EngineToolCall]], number: int) -> list[EngineToolCall]:
    return [waiting[number].pop(0)] if number >= 0 and waiting[number] else []


finishes = st.one_of(
    st.builds(
        ReplyFinished,
        st.sampled_from(["stop", "stop", "length", "window", "refusal"]),
        st.integers(0, 1000),
        st.none() | st.integers(0, 1000),
    ),
    st.builds(ReplyFinished, st.just("stop_sequence"), st.integers(0, 1000), stop_sequence=st.just("END")),
)
failures = st.builds(lambda message: ReplyFailed(MessagesError("api_error", message)), words)
ends: st.SearchStrategy[EngineDelta] = st.one_of(finishes, finishes, failures)
