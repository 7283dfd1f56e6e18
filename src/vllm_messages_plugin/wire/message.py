"""The `Message` of a reply, its content blocks and its usage, as in `anthropic.types.Message`.

Fields that both official SDKs declare as always present are always present, null where there is nothing
to report. Optional fields of blocks (`citations`, `toolset_name`) are omitted instead: the Vercel AI SDK
rejects null there.
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
    "compaction",
]


class TextBlock(TypedDict):
    type: Literal["text"]
    text: str
    citations: NotRequired[list[dict[str, Any]]]


class ThinkingBlock(TypedDict):
    type: Literal["thinking"]
    thinking: str
    signature: str


class DirectCaller(TypedDict):
    type: Literal["direct"]


class ToolUseBlock(TypedDict):
    type: Literal["tool_use"]
    id: str
    name: str
    input: Any
    caller: DirectCaller
    toolset_name: NotRequired[str]


class ServerToolUseBlock(TypedDict):
    type: Literal["server_tool_use", "mcp_tool_use"]
    id: str
    name: str
    input: Any
    server_name: NotRequired[str]


class ToolResultBlock(TypedDict):
    """The result of a server tool, such as `web_search_tool_result`."""

    type: str
    tool_use_id: str
    content: Any


class CompactionBlock(TypedDict):
    """A summary that replaces the conversation before it; without `content` the summary failed."""

    type: Literal["compaction"]
    content: str | None
    encrypted_content: None
    signature: str | None
    tool_changes: list[dict[str, Any]]


ContentBlock = (
    TextBlock | ThinkingBlock | ToolUseBlock | ServerToolUseBlock | ToolResultBlock | CompactionBlock
)


class CacheCreation(TypedDict):
    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class OutputTokensDetails(TypedDict):
    thinking_tokens: int


class ServerToolUsage(TypedDict):
    web_search_requests: int
    web_fetch_requests: int


class IterationUsage(TypedDict):
    """What one round of a reply used (`anthropic.types.beta.BetaIterationsUsage`)."""

    type: Literal["message", "compaction"]
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cache_creation: CacheCreation


class Usage(TypedDict):
    """Token counts. The three input counters are disjoint and add up to the whole prompt."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    output_tokens: int
    output_tokens_details: OutputTokensDetails | None
    server_tool_use: ServerToolUsage | None
    service_tier: Literal["standard"]
    inference_geo: None
    speed: None
    iterations: NotRequired[list[IterationUsage]]


class RefusalStopDetails(TypedDict):
    type: Literal["refusal"]
    category: None
    explanation: None


class ContextManagementResponse(TypedDict):
    applied_edits: list[dict[str, Any]]


class Message(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: RefusalStopDetails | None
    container: None
    diagnostics: dict[str, Any] | None
    usage: Usage
    context_management: NotRequired[ContextManagementResponse]


def new_id(prefix: str) -> str:
    """Make a random id such as `msg_...` or `toolu_...`."""
    return f"{prefix}_{secrets.token_hex(12)}"
