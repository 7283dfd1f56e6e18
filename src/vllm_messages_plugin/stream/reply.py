"""What the machine must know of a reply beforehand, and the usage it reports.

Made by `http.messages`, read by `machine`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.stream.deltas import PromptProcessed
from vllm_messages_plugin.wire.message import Usage, new_id


@dataclass(frozen=True, slots=True)
class CachedLengths:
    """How many tokens of the prompt stand before the last cache breakpoint of each lifetime."""

    until_5m: int = 0
    until_1h: int = 0


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What the machine must know of the reply beforehand.

    `sign` makes a thinking block's signature from its text. `continues` says that the reply continues
    a prefilled text, so that blanks at its head are the model's word and not a template's. With
    `show_thinking` false the thinking blocks carry a signature and no text; with `count_thinking` each
    piece says how many tokens it was. `applied_edits` and `diagnostics` are told as they are, if set.
    `members` maps a toolset's functions to (name, toolset) on the wire; their input comes in one piece.
    """

    model: str
    request_id: str
    sign: Callable[[str], str]
    continues: bool = False
    show_thinking: bool = True
    count_thinking: bool = False
    applied_edits: Sequence[Mapping[str, Any]] | None = None
    diagnostics: Mapping[str, Any] | None = None
    marks: CachedLengths = CachedLengths()
    members: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: new_id("msg"))
    new_tool_id: Callable[[], str] = lambda: new_id("toolu")


def usage_of(
    prompt: PromptProcessed,
    output_tokens: int,
    thinking_tokens: int | None = None,
    marks: CachedLengths = CachedLengths(),
) -> Usage:
    """Usage with disjoint input counters: read from the cache, written up to the last mark, the rest."""
    cached = prompt.cached_tokens
    written_1h = max(marks.until_1h - cached, 0)
    written_5m = max(marks.until_5m - max(cached, marks.until_1h), 0)
    usage: Usage = {
        "input_tokens": prompt.prompt_tokens - cached - written_1h - written_5m,
        "cache_creation_input_tokens": written_1h + written_5m,
        "cache_read_input_tokens": cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written_5m,
            "ephemeral_1h_input_tokens": written_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    if thinking_tokens is not None:
        usage["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
    return usage
