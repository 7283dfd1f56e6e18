"""What the state machine needs to know about a reply beforehand, and the `usage` it reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.stream.deltas import PromptProcessed, RoundUsage
from vllm_messages_plugin.wire.message import IterationUsage, Usage, new_id


@dataclass(frozen=True, slots=True)
class BreakpointLengths:
    """Length of the prompt up to its last cache breakpoint, in tokens, for each time to live (0: none)."""

    until_5m: int = 0
    until_1h: int = 0


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What the state machine needs to know about a reply beforehand.

    Attributes:
        model: The model's name as the request gave it.
        request_id: The request's id, repeated in an `error` event.
        sign: Makes the signature of a thinking block from the block's text.
        continues: The reply continues a prefilled assistant turn, so whitespace at its start is the
            model's and is kept.
        show_thinking: If false, thinking blocks carry a signature and no text.
        count_thinking: If true, each `thinking_delta` carries `estimated_tokens`.
        applied_edits: Sent as `context_management.applied_edits`, unless None.
        diagnostics: Sent as the message's `diagnostics`.
        breakpoints: How far the request's cache breakpoints reach into its prompt.
        members: Maps the functions of toolsets to (name, toolset name) on the wire. The input of such a
            call is sent in one piece.
        message_id: The message's id.
        new_tool_id: Makes the id of a `tool_use` block.
    """

    model: str
    request_id: str
    sign: Callable[[str], str]
    continues: bool = False
    show_thinking: bool = True
    count_thinking: bool = False
    applied_edits: Sequence[Mapping[str, Any]] | None = None
    diagnostics: Mapping[str, Any] | None = None
    breakpoints: BreakpointLengths = BreakpointLengths()
    members: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: new_id("msg"))
    new_tool_id: Callable[[], str] = lambda: new_id("toolu")


def make_usage(
    prompt: PromptProcessed,
    output_tokens: int,
    thinking_tokens: int | None = None,
    breakpoints: BreakpointLengths = BreakpointLengths(),
) -> Usage:
    """Make the `usage` object of a reply.

    The input counters are disjoint and add up to the prompt: tokens read from the prefix cache, tokens
    newly processed up to the last cache breakpoint (counted as written to the cache), and the rest.

    Args:
        prompt: Tokens of the prompt and how many of them the prefix cache held.
        output_tokens: Tokens generated, thinking included.
        thinking_tokens: How many of those were thinking; None if not counted.
        breakpoints: How far the request's cache breakpoints reach into the prompt.
    """
    cached = prompt.cached_tokens
    written_1h = max(breakpoints.until_1h - cached, 0)
    written_5m = max(breakpoints.until_5m - max(cached, breakpoints.until_1h), 0)
    return {
        "input_tokens": prompt.prompt_tokens - cached - written_1h - written_5m,
        "cache_creation_input_tokens": written_1h + written_5m,
        "cache_read_input_tokens": cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written_5m,
            "ephemeral_1h_input_tokens": written_1h,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": None if thinking_tokens is None else {"thinking_tokens": thinking_tokens},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": None,
        "speed": None,
    }


def add_rounds(
    usage: Usage,
    rounds: Sequence[RoundUsage],
    server_tool_use: Mapping[str, int] | None,
    breakpoints: BreakpointLengths = BreakpointLengths(),
) -> Usage:
    """Add what server tools and the further rounds of a reply used to the usage of its first round.

    Args:
        usage: The usage of the first round; its output counters already are those of the whole reply.
        rounds: Every round; empty for a reply of one round.
        server_tool_use: How often server tools were used; None for a reply without any.
        breakpoints: How far the cache breakpoints reach into the first prompt.

    Returns:
        The usage of the whole reply. `iterations` has one entry for each round; a compaction before the reply
        stands there alone, as Anthropic's documentation of compaction has it.
    """
    if server_tool_use is not None:
        usage["server_tool_use"] = {
            "web_search_requests": server_tool_use.get("web_search_requests", 0),
            "web_fetch_requests": server_tool_use.get("web_fetch_requests", 0),
        }
    iterations = [
        _iteration(round_, breakpoints if number == 0 else BreakpointLengths())
        for number, round_ in enumerate(rounds)
    ]
    if all(round_.kind == "message" for round_ in rounds) and len(rounds) < 2:
        return usage
    usage["iterations"] = iterations
    counted = [each for each in iterations if each["type"] == "message"] or iterations
    usage["input_tokens"] = sum(each["input_tokens"] for each in counted)
    usage["cache_read_input_tokens"] = sum(each["cache_read_input_tokens"] for each in counted)
    usage["cache_creation_input_tokens"] = sum(each["cache_creation_input_tokens"] for each in counted)
    created = [each["cache_creation"] for each in counted]
    usage["cache_creation"] = {
        "ephemeral_5m_input_tokens": sum(each["ephemeral_5m_input_tokens"] for each in created),
        "ephemeral_1h_input_tokens": sum(each["ephemeral_1h_input_tokens"] for each in created),
    }
    return usage


def _iteration(round_: RoundUsage, breakpoints: BreakpointLengths) -> IterationUsage:
    usage = make_usage(round_.prompt, round_.output_tokens, breakpoints=breakpoints)
    return {
        "type": round_.kind,
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cache_read_input_tokens": usage["cache_read_input_tokens"],
        "cache_creation_input_tokens": usage["cache_creation_input_tokens"],
        "cache_creation": usage["cache_creation"],
    }
