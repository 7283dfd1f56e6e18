"""The events of a streamed reply, as in `anthropic.types.RawMessageStreamEvent`."""

from typing import Any, Literal, NotRequired, TypedDict

from vllm_messages_plugin.wire.message import (
    ContentBlock,
    ContextManagementResponse,
    Message,
    RefusalStopDetails,
    StopReason,
    Usage,
)


class MessageStartEvent(TypedDict):
    type: Literal["message_start"]
    message: Message


class ContentBlockStartEvent(TypedDict):
    type: Literal["content_block_start"]
    index: int
    content_block: ContentBlock


class TextDelta(TypedDict):
    type: Literal["text_delta"]
    text: str


class ThinkingDelta(TypedDict):
    type: Literal["thinking_delta"]
    thinking: str
    estimated_tokens: NotRequired[int]


class SignatureDelta(TypedDict):
    type: Literal["signature_delta"]
    signature: str


class InputJsonDelta(TypedDict):
    type: Literal["input_json_delta"]
    partial_json: str


class CitationsDelta(TypedDict):
    type: Literal["citations_delta"]
    citation: dict[str, Any]


class CompactionDelta(TypedDict):
    type: Literal["compaction_delta"]
    content: str | None
    encrypted_content: None


TextDeltaType = Literal["text_delta", "thinking_delta", "input_json_delta"]
"""The types of the deltas that come with nearly every token: a type and a text."""

ContentBlockDelta = (
    TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta | CitationsDelta | CompactionDelta
)


class ContentBlockDeltaEvent(TypedDict):
    type: Literal["content_block_delta"]
    index: int
    delta: ContentBlockDelta


class ContentBlockStopEvent(TypedDict):
    type: Literal["content_block_stop"]
    index: int


class MessageDelta(TypedDict):
    """How the reply ended."""

    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: RefusalStopDetails | None
    container: None


class MessageDeltaEvent(TypedDict):
    type: Literal["message_delta"]
    delta: MessageDelta
    usage: Usage
    context_management: NotRequired[ContextManagementResponse]


class MessageStopEvent(TypedDict):
    type: Literal["message_stop"]


class PingEvent(TypedDict):
    type: Literal["ping"]


class ErrorEvent(TypedDict):
    type: Literal["error"]
    error: dict[str, Any]
    request_id: str


StreamEvent = (
    MessageStartEvent
    | ContentBlockStartEvent
    | ContentBlockDeltaEvent
    | ContentBlockStopEvent
    | MessageDeltaEvent
    | MessageStopEvent
    | PingEvent
    | ErrorEvent
)

PING: PingEvent = {"type": "ping"}
