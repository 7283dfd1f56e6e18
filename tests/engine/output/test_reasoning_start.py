"""The head of an output is buffered until it shows whether the model thinks, and never longer."""

import pytest

from vllm_messages_plugin.engine.output.reasoning_start import MAX_BLANK_PARTS, ReasoningStartDetector

TOKEN = 7


def detector(token: int | None = None) -> ReasoningStartDetector:
    return ReasoningStartDetector("<think>", frozenset() if token is None else frozenset({token}))


@pytest.mark.parametrize(
    ("parts", "thinks"),
    [
        (["<think>"], True),
        (["\n", " <th", "ink>We"], True),
        (["Yes"], False),
        (["<", "b>"], False),
        (["\n\n", "<thin", "g>"], False),
    ],
)
def test_the_first_text_decides_and_nothing_of_it_is_lost(parts: list[str], thinks: bool) -> None:
    head = detector()
    results = [head.feed(part, [number], finished=False) for number, part in enumerate(parts)]
    assert results[:-1] == [None] * (len(parts) - 1)
    assert results[-1] == (thinks, "".join(parts), list(range(len(parts))))


def test_a_tag_that_the_text_leaves_out_is_seen_by_its_token() -> None:
    assert detector(TOKEN).feed("", [TOKEN], finished=False) == (True, "", [TOKEN])


def test_an_output_that_ends_within_the_tag_does_not_think() -> None:
    assert detector().feed("<thi", [1], finished=True) == (False, "<thi", [1])


def test_white_space_without_end_is_not_buffered_without_end() -> None:
    head = detector()
    results = [head.feed("\n", [1], finished=False) for _ in range(MAX_BLANK_PARTS + 1)]
    assert results[-1] == (False, "\n" * (MAX_BLANK_PARTS + 1), [1] * (MAX_BLANK_PARTS + 1))
    assert set(results[:-1]) == {None}
