"""vLLM's own flags for thinking hold on the Messages routes as well."""

from argparse import Namespace
from typing import Any

import pytest

from vllm_messages_plugin.engine.effort_flags import EffortFlags
from vllm_messages_plugin.translate.thinking import ThinkingRequest

DISABLED = ThinkingRequest(False, explicit=True, effort="high")
SILENT = ThinkingRequest(False, effort="high")
ON = ThinkingRequest(True, explicit=True, effort="high")


@pytest.mark.parametrize(
    "flags", [{}, {"anthropic_disabled_thinking_effort": "auto"}, {"reasoning_effort_map": None}]
)
def test_without_a_flag_nothing_changes(flags: dict[str, Any]) -> None:
    for requested in (DISABLED, SILENT, ON):
        assert EffortFlags.of(Namespace(**flags)).apply(requested) == requested


def test_thinking_that_is_disabled_gets_the_operators_effort() -> None:
    flags = EffortFlags.of(Namespace(anthropic_disabled_thinking_effort="low"))
    assert flags.apply(DISABLED) == ThinkingRequest(True, explicit=True, effort="low")
    assert flags.apply(SILENT) == SILENT
    assert flags.apply(ON) == ON


@pytest.mark.parametrize("value", [{"high": "max"}, '{"high": "max"}'])
def test_efforts_are_replaced_by_the_operators_map(value: Any) -> None:
    flags = EffortFlags.of(Namespace(reasoning_effort_map=value))
    assert flags.apply(ON).effort == "max"
    assert flags.apply(ThinkingRequest(True, effort="low")).effort == "low"


@pytest.mark.parametrize("value", ["no JSON", [1]])
def test_a_map_of_another_kind_is_logged_and_not_applied(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert EffortFlags.of(Namespace(reasoning_effort_map=value)).effort_map == {}
    assert "--reasoning-effort-map" in caplog.text
