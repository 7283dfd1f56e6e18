"""The events of a streamed reply, as `anthropic.types.RawMessageStreamEvent` reads them.

Built by `stream.machine`, folded by `stream.collect`, written by `sse`.
"""

from typing import Any, Literal, NotRequired, TypedDict

from vllm_messages_plugin.wire.message import (
    ContentBlock,
    ContextManagement,
    Message,
    StopDetails,
    StopReason,
    Usage,
)


class MessageStart(TypedDict):
    type: Literal["message_start"]
    message: Message


class ContentBlockStart(TypedDict):
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


Delta = TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class ContentBlockDelta(TypedDict):
    type: Literal["content_block_delta"]
    index: int
    delta: Delta


class ContentBlockStop(TypedDict):
    type: Literal["content_block_stop"]
    index: int


class Stop(TypedDict):
    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: StopDetails | None


class MessageDelta(TypedDict):
    type: Literal["message_delta"]
    delta: Stop
    usage: Usage
    context_management: NotRequired[ContextManagement]


class MessageStop(TypedDict):
    type: Literal["message_stop"]


class Ping(TypedDict):
    type: Literal["ping"]


class Error(TypedDict):
    type: Literal["error"]
    error: dict[str, Any]
    request_id: str


Event = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | Ping
    | Error
)

PING: Ping = {"type": "ping"}
