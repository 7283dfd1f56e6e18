"""What a request wants of the model's thinking.

Called by `conversation`; `engine.render` turns the wish into what the template understands.
"""

from dataclasses import dataclass
from typing import Literal

from vllm_messages_plugin.wire.request import ThinkingConfigParam

DefaultThinking = Literal["off", "on", "template"]
"""What an absent `thinking` means: agents' side requests leave it out and want an answer at once."""


@dataclass(frozen=True, slots=True)
class ThinkingRequest:
    """`on` is None where the template's own default is to decide; `budget` is in tokens.

    `explicit` says that the client asked, so that its word goes before the operator's defaults.
    """

    on: bool | None
    explicit: bool = False
    budget: int | None = None
    effort: str | None = None
    shown: bool = True


def thinking_request(
    thinking: ThinkingConfigParam | None, effort: str | None, default: DefaultThinking
) -> ThinkingRequest:
    """The wish a request expresses, with the server's default where it is silent."""
    if thinking is None:
        return ThinkingRequest({"off": False, "on": True, "template": None}[default], effort=effort)
    return ThinkingRequest(
        on=thinking.type in ("enabled", "adaptive"),
        explicit=True,
        budget=thinking.budget_tokens if thinking.type == "enabled" else None,
        effort=effort,
        shown=thinking.display != "omitted",
    )
