"""The `Message` a reply carries, and its usage.

Built by `stream.machine` and `stream.collect`. Shapes follow `anthropic.types.Message`; optional
fields are left out rather than null where strict clients fail on null.
"""

import secrets
from typing import Any, Literal, NotRequired, TypedDict

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]


class TextBlock(TypedDict):
    type: Literal["text"]
    text: str


class ThinkingBlock(TypedDict):
    type: Literal["thinking"]
    thinking: str
    signature: str


class Caller(TypedDict):
    type: Literal["direct"]


class ToolUseBlock(TypedDict):
    type: Literal["tool_use"]
    id: str
    name: str
    input: Any
    caller: Caller
    toolset_name: NotRequired[str]


ContentBlock = TextBlock | ThinkingBlock | ToolUseBlock


class CacheCreation(TypedDict):
    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class OutputTokensDetails(TypedDict):
    thinking_tokens: int


class Usage(TypedDict):
    """Token counts; the three input counters are disjoint and add up to the whole prompt."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    output_tokens: int
    output_tokens_details: NotRequired[OutputTokensDetails]
    service_tier: NotRequired[Literal["standard"]]


class StopDetails(TypedDict):
    type: Literal["refusal"]
    category: None
    explanation: None


class ContextManagement(TypedDict):
    applied_edits: list[dict[str, Any]]


class Message(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: StopDetails | None
    usage: Usage
    context_management: NotRequired[ContextManagement]
    diagnostics: NotRequired[dict[str, Any]]


def new_id(prefix: str) -> str:
    """A fresh id such as `msg_...` or `toolu_...`, unique over every conversation."""
    return f"{prefix}_{secrets.token_hex(12)}"
