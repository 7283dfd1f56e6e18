"""Thinking that repeats a short pattern is found; thinking that goes on is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.engine.output.thinking_loop import MAX_PERIOD, STRIDE, ThinkingLoopDetector

REPEATS = 12


def loops(tokens: list[int], size: int = 3) -> bool:
    detector = ThinkingLoopDetector(REPEATS)
    for at in range(0, len(tokens), size):
        detector.add(tokens[at : at + size])
    return detector.looping


@pytest.mark.parametrize("period", [1, 2, 3, 7, 20, 63, MAX_PERIOD])
def test_a_pattern_that_goes_on_is_found(period: int) -> None:
    pattern = list(range(period))
    head = [1000 + number for number in range(50)]
    repeated = pattern * 40
    assert loops(head + repeated[: period * REPEATS + 2 * STRIDE])


@pytest.mark.parametrize("period", [2, 7, 20, MAX_PERIOD])
def test_a_pattern_that_comes_fewer_times_is_not(period: int) -> None:
    assert not loops([1000, *list(range(period)) * (REPEATS - 1), 2000, *range(3000, 3040)])


def test_a_longer_pattern_is_not_a_loop() -> None:
    assert not loops(list(range(MAX_PERIOD + 1)) * (2 * REPEATS))


def test_varied_thinking_is_not_a_loop() -> None:
    source = random.Random(5)
    assert not loops([source.randrange(50) for _ in range(20_000)])


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.integers(1, 40))
def test_any_pattern_is_found_however_the_engine_cuts_its_outputs(pattern: list[int], size: int) -> None:
    assert loops(pattern * (REPEATS + 50), size)


def test_what_came_before_the_end_of_the_thinking_does_not_count() -> None:
    detector = ThinkingLoopDetector(REPEATS)
    detector.add([1, 2] * 11)
    detector.reset()
    detector.add([1, 2] * 11)
    assert not detector.looping
