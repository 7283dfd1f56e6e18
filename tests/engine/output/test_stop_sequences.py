"""Stop sequences end a reply at the first complete one in its text, however the text is split."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.engine.output.stop_sequences import StopMatcher, StopSequences
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineThinking, EngineToolCall


def run(sequences: Sequence[str], deltas: Sequence[EngineDelta]) -> tuple[list[EngineDelta], str | None]:
    """The deltas that pass, fed one at a time as the engine's outputs are, and the sequence that matched."""
    matcher = StopMatcher(StopSequences(sequences))
    passed: list[EngineDelta] = []
    for delta in deltas:
        passed += matcher.feed([delta])
        if matcher.matched is not None:
            return passed, matcher.matched
    return passed + matcher.finish(), None


def text_of(deltas: Sequence[EngineDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, EngineText))


@pytest.mark.parametrize(
    ("sequences", "text", "kept", "matched"),
    [
        (["END"], "one END two", "one ", "END"),
        (["END"], "one EN", "one EN", None),
        (["END"], "END", "", "END"),
        (["END"], "ENENEND", "ENEN", "END"),
        (["abcd", "bc"], "abcd", "a", "bc"),
        (["bc", "abc"], "abc", "", "abc"),
        (["aab"], "aaaab", "aa", "aab"),
        (["\n\n"], "a\n\nb", "a", "\n\n"),
        (["é🦊"], "x é🦊 y", "x ", "é🦊"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_text_is_cut_at_the_first_complete_sequence(
    sequences: list[str], text: str, kept: str, matched: str | None, size: int
) -> None:
    parts = [EngineText(text[at : at + size]) for at in range(0, len(text), size)]
    passed, found = run(sequences, parts)
    assert (text_of(passed), found) == (kept, matched)


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=4),
    st.lists(st.text("ab\n", max_size=4), max_size=12),
)
def test_any_split_gives_what_a_plain_search_finds(sequences: list[str], parts: list[str]) -> None:
    text = "".join(parts)
    ends = [
        (text.index(sequence) + len(sequence), -len(sequence)) for sequence in sequences if sequence in text
    ]
    passed, found = run(sequences, [EngineText(part) for part in parts])
    if not ends:
        assert (text_of(passed), found) == (text, None)
    else:
        end, negative_length = min(ends)
        assert text_of(passed) == text[: end + negative_length]
        assert found == text[end + negative_length : end]


def test_thinking_and_arguments_are_not_searched() -> None:
    deltas = [
        EngineThinking("The END is near.", 4),
        EngineText("a E"),
        EngineToolCall(0, "Bash", '{"x": "END"}'),
        EngineText("ND"),
    ]
    passed, found = run(["END"], deltas)
    assert found is None
    assert text_of(passed) == "a END"
    assert [type(delta) for delta in passed] == [
        EngineThinking, EngineText, EngineText, EngineToolCall, EngineText,
    ]  # fmt: skip


def test_text_that_can_not_begin_a_sequence_is_not_held_back() -> None:
    matcher = StopMatcher(StopSequences(["END"]))
    assert matcher.feed([EngineText("one E")]) == [EngineText("one ")]
    assert matcher.feed([EngineText("x")]) == [EngineText("Ex")]


def test_many_long_sequences_take_time_in_proportion_to_the_text() -> None:
    sequences = StopSequences("a" * 2_000 + str(number) for number in range(500))
    matcher, began = StopMatcher(sequences), time.process_time()
    matcher.feed([EngineText("a" * 200_000)])
    assert time.process_time() - began < 2
