"""The flags of `vllm serve` that change the thinking of Messages requests, where this version has them.

`--anthropic-disabled-thinking-effort low` (0.31) is for models that always think: a request that disables
thinking gets a low effort instead. `--reasoning-effort-map JSON` (0.33) replaces efforts by others.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_messages_plugin.translate.thinking import ThinkingRequest

log = logging.getLogger("vllm.messages")

OFF_VALUES = (None, "auto", "none")
"""Values of the first flag with which thinking that is disabled is off."""


@dataclass(frozen=True, slots=True)
class EffortFlags:
    """What the operator has set.

    Attributes:
        disabled_effort: the effort of requests that disable thinking; None: thinking is off.
        effort_map: a requested effort, and the one that replaces it.
    """

    disabled_effort: str | None = None
    effort_map: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, args: Any) -> "EffortFlags":
        """Read the flags off the parsed command line of `vllm serve`."""
        disabled = getattr(args, "anthropic_disabled_thinking_effort", None)
        return cls(
            disabled_effort=None if disabled in OFF_VALUES else str(disabled),
            effort_map=_effort_map(getattr(args, "reasoning_effort_map", None)),
        )

    def apply(self, requested: ThinkingRequest) -> ThinkingRequest:
        """Return what is asked of the chat template for what a request asks."""
        if requested.explicit and requested.on is False and self.disabled_effort is not None:
            return replace(requested, on=True, effort=self.disabled_effort)
        replacement = self.effort_map.get(requested.effort or "")
        return requested if replacement is None else replace(requested, effort=replacement)


def _effort_map(value: Any) -> Mapping[str, str]:
    """The map as vLLM has parsed it, or as its JSON text."""
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        given = value
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        log.warning("--reasoning-effort-map is no object and is not applied to the Messages API: %r", value)
        return {}
    return {str(effort): str(replacement) for effort, replacement in given.items()}
