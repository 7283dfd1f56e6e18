"""What a request wants of the model's thinking."""

from typing import Any

import pytest

from translate.conversations import conversation, user
from vllm_messages_plugin.translate.thinking import DefaultThinking, ThinkingRequest, thinking_request
from vllm_messages_plugin.wire.request import ThinkingConfigParam

ENABLED = {"type": "enabled", "budget_tokens": 2048}
THINKING_REQUESTS: dict[str, tuple[dict[str, Any], ThinkingRequest]] = {
    "enabled": (ENABLED, ThinkingRequest(on=True, explicit=True, budget=2048)),
    "enabled, omitted": (
        {**ENABLED, "display": "omitted"},
        ThinkingRequest(on=True, explicit=True, budget=2048, shown=False),
    ),
    "adaptive": ({"type": "adaptive"}, ThinkingRequest(on=True, explicit=True)),
    "adaptive, with a budget": (
        {"type": "adaptive", "budget_tokens": 2048},
        ThinkingRequest(on=True, explicit=True),
    ),
    "adaptive, summarized": (
        {"type": "adaptive", "display": "summarized"},
        ThinkingRequest(on=True, explicit=True),
    ),
    "adaptive, as updates": (
        {"type": "adaptive", "display": "updates"},
        ThinkingRequest(on=True, explicit=True),
    ),
    "adaptive, omitted": (
        {"type": "adaptive", "display": "omitted"},
        ThinkingRequest(on=True, explicit=True, shown=False),
    ),
    "disabled": ({"type": "disabled"}, ThinkingRequest(on=False, explicit=True)),
    "between tools": ({"type": "between_tools"}, ThinkingRequest(on=False, explicit=True)),
}


@pytest.mark.parametrize(("asked", "expected"), THINKING_REQUESTS.values(), ids=THINKING_REQUESTS.keys())
@pytest.mark.parametrize("default", ["off", "on", "template"])
def test_what_a_request_asks_goes_before_the_default(
    default: DefaultThinking, asked: dict[str, Any], expected: ThinkingRequest
) -> None:
    assert thinking_request(ThinkingConfigParam(**asked), None, default) == expected


@pytest.mark.parametrize(("default", "on"), [("off", False), ("on", True), ("template", None)])
def test_a_silent_request_gets_the_default(default: DefaultThinking, on: bool | None) -> None:
    assert thinking_request(None, "low", default) == ThinkingRequest(on=on, explicit=False, effort="low")


def test_the_effort_is_read_from_the_output_config() -> None:
    found = conversation(user("Hi"), thinking={"type": "adaptive"}, output_config={"effort": "high"})
    assert found.thinking == ThinkingRequest(on=True, explicit=True, effort="high")


def test_thinking_is_off_by_default() -> None:
    assert conversation(user("Hi")).thinking == ThinkingRequest(on=False)
