"""The template kwargs that switch thinking, its effort and its budget for one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile

EFFORT_LEVELS: Final[Sequence[str]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Efforts in ascending order. A template knows some of them, Anthropic's API those from "low" on."""


def thinking_switches(
    profile: ThinkingProfile | None, *, on: bool | None, effort: str | None = None, budget: int | None = None
) -> dict[str, Any]:
    """Return the template kwargs for what a request wants of thinking.

    Args:
        profile: how the template thinks; None if it does not.
        on: whether to think; None leaves it to the template's default.
        effort: the requested effort. The nearest one that the template knows is used.
        budget: the largest number of thinking tokens.

    Returns:
        Only kwargs that the template acts on; empty if it has none.
    """
    if profile is None:
        return {}
    switches: dict[str, Any] = {}
    if profile.kwarg is not None and on is not None:
        switches[profile.kwarg] = profile.on if on else profile.off
    level = nearest_effort(effort, profile.efforts)
    if on and level and profile.effort_kwarg and profile.effort_kwarg not in switches:
        switches[profile.effort_kwarg] = level
    if profile.budget_kwarg and budget is not None:
        switches[profile.budget_kwarg] = budget
    return switches


def nearest_effort(requested: str | None, known: Sequence[str]) -> str | None:
    """Return the effort among `known` that is nearest to the requested one; the greater of two equally near.

    Returns None if the requested effort is unknown or the template knows none.
    """
    levels = [level for level in known if level in EFFORT_LEVELS]
    if requested not in EFFORT_LEVELS or not levels:
        return None
    place = EFFORT_LEVELS.index(requested)
    distance = {level: EFFORT_LEVELS.index(level) - place for level in levels}
    return min(levels, key=lambda level: (abs(distance[level]), -distance[level]))
