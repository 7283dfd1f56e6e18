"""What a request asks of the model's thinking, independent of the chat template's own switches."""

from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.wire.request import ThinkingConfigParam

DefaultThinking = Literal["off", "on", "template"]
"""What an absent `thinking` means. The side requests of agents omit it and need a reply at once."""


@dataclass(frozen=True, slots=True)
class ThinkingRequest:
    """The thinking that a request asks for.

    Attributes:
        on: Whether the model is to think; None leaves it to the chat template's own default.
        explicit: Whether the request itself asks for it, which overrides the operator's defaults.
        budget: The most tokens of thinking; None for no limit.
        effort: The `effort` of the request, if it has one.
        shown: Whether thinking blocks carry their text.
    """

    on: bool | None
    explicit: bool = False
    budget: int | None = None
    effort: str | None = None
    shown: bool = True


def thinking_request(
    thinking: ThinkingConfigParam | None, effort: str | None, default: DefaultThinking
) -> ThinkingRequest:
    """Return what a request asks for, with the server's default where it has no `thinking`."""
    if thinking is None:
        return ThinkingRequest({"off": False, "on": True, "template": None}[default], effort=effort)
    return ThinkingRequest(
        on=thinking.type in ("enabled", "adaptive"),
        explicit=True,
        budget=thinking.budget_tokens if thinking.type == "enabled" else None,
        effort=effort,
        shown=thinking.display != "omitted",
    )
