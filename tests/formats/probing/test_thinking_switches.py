"""The template kwargs that a request's thinking, effort and budget come to."""

from dataclasses import replace
from typing import Any

import pytest

from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile
from vllm_messages_plugin.formats.probing.thinking_switches import nearest_effort, thinking_switches

QWEN = ThinkingProfile("enable_thinking", True, False, True, "<think>", "</think>", False, True)
WITH_EFFORT = replace(QWEN, effort_kwarg="reasoning_effort", efforts=("low", "high"))
WITH_BUDGET = replace(QWEN, budget_kwarg="thinking_budget")
# Hunyuan's kwarg is the switch and the effort at once.
EFFORT_IS_SWITCH = replace(
    QWEN,
    kwarg="reasoning_effort",
    on="high",
    off="no_think",
    effort_kwarg="reasoning_effort",
    efforts=("low", "high"),
)


@pytest.mark.parametrize(
    ("profile", "requested", "expected"),
    [
        (None, {"on": True, "effort": "high", "budget": 100}, {}),
        (QWEN, {"on": True}, {"enable_thinking": True}),
        (QWEN, {"on": False}, {"enable_thinking": False}),
        (QWEN, {"on": None}, {}),
        (QWEN, {"on": True, "effort": "high", "budget": 100}, {"enable_thinking": True}),
        (WITH_EFFORT, {"on": True, "effort": "max"}, {"enable_thinking": True, "reasoning_effort": "high"}),
        (WITH_EFFORT, {"on": False, "effort": "max"}, {"enable_thinking": False}),
        (WITH_EFFORT, {"on": True, "effort": "unheard of"}, {"enable_thinking": True}),
        (WITH_BUDGET, {"on": True, "budget": 512}, {"enable_thinking": True, "thinking_budget": 512}),
        (WITH_BUDGET, {"on": None, "budget": 0}, {"thinking_budget": 0}),
        (EFFORT_IS_SWITCH, {"on": True, "effort": "low"}, {"reasoning_effort": "high"}),
        (replace(QWEN, kwarg=None), {"on": False}, {}),
    ],
)
def test_only_kwargs_that_the_template_acts_on_are_set(
    profile: ThinkingProfile | None, requested: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert thinking_switches(profile, **requested) == expected


@pytest.mark.parametrize(
    ("requested", "known", "expected"),
    [
        ("medium", ("low", "medium", "high"), "medium"),
        ("medium", ("low", "high"), "high"),
        ("max", ("low", "high"), "high"),
        ("low", ("high", "max"), "high"),
        ("minimal", ("low", "none"), "low"),
        ("high", (), None),
        (None, ("low",), None),
        ("high", ("loud",), None),
    ],
)
def test_the_nearest_known_effort_is_taken_and_the_greater_of_two(
    requested: str | None, known: tuple[str, ...], expected: str | None
) -> None:
    assert nearest_effort(requested, known) == expected
