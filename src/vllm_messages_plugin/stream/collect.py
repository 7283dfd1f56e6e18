"""Builds the `Message` of a reply that is not streamed from the events of the stream.

There is no second implementation of replies: the message equals what the official SDK's accumulator
builds from the same stream, which `tests/stream` checks.
"""

import json
import re
from collections.abc import AsyncIterable
from typing import Any

import pydantic_core

from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import ContentBlockDeltaEvent, MessageDeltaEvent, StreamEvent
from vllm_messages_plugin.wire.message import Message

_HUGE = re.compile(
    r"\d[eE]\+?\d{3}|\d{309}"
)  # a number that may be parsed as infinity, which JSON can't represent

INVALID_JSON_KEY = "INVALID_JSON"
"""Key of the text of arguments that are not valid JSON, as Anthropic's tool use documentation proposes."""


def parse_tool_input(text: str) -> Any:
    """Parse the JSON text of a tool call's arguments; of a truncated text, the complete part."""
    if not text.strip():
        return {}
    try:
        value = pydantic_core.from_json(text, allow_inf_nan=False, allow_partial=True)
        if _HUGE.search(text):
            json.dumps(value, allow_nan=False)
        return value
    except ValueError:
        return {INVALID_JSON_KEY: text}


class Collector:
    """Accumulates the events of one reply. `message` is complete once `message_stop` was fed."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self._pieces: list[str] = []
        self._block: Any = None

    def feed(self, event: StreamEvent) -> None:
        """Add one event.

        Raises:
            MessagesError: the event is an `error`.
        """
        match event["type"]:
            case "message_start":
                self.message = {**event["message"], "content": []}
            case "content_block_start":
                self._block = dict(event["content_block"])
                if "citations" in self._block:
                    self._block["citations"] = []
                self._pieces = []
            case "content_block_delta":
                self._add(event)
            case "content_block_stop":
                self._close()
            case "message_delta":
                self._end(event)
            case "error":
                error = event["error"]
                raise MessagesError(error["type"], error["message"], details=error.get("details"))

    def _end(self, event: MessageDeltaEvent) -> None:
        message = self._started_message()
        message["stop_reason"] = event["delta"]["stop_reason"]
        message["stop_sequence"] = event["delta"]["stop_sequence"]
        message["stop_details"] = event["delta"]["stop_details"]
        message["container"] = event["delta"]["container"]
        message["usage"] = event["usage"]
        if "context_management" in event:
            message["context_management"] = event["context_management"]

    def _started_message(self) -> Message:
        assert self.message is not None, "message_start comes first"
        return self.message

    def _add(self, event: ContentBlockDeltaEvent) -> None:
        delta = event["delta"]
        match delta["type"]:
            case "text_delta":
                self._pieces.append(delta["text"])
            case "thinking_delta":
                self._pieces.append(delta["thinking"])
            case "input_json_delta":
                self._pieces.append(delta["partial_json"])
            case "citations_delta":
                self._block.setdefault("citations", []).append(delta["citation"])
            case "signature_delta":
                self._block["signature"] = delta["signature"]
            case "compaction_delta":
                self._block["content"] = delta["content"]
                self._block["encrypted_content"] = delta["encrypted_content"]

    def _close(self) -> None:
        text = "".join(self._pieces)
        match self._block["type"]:
            case "text":
                self._block["text"] = text
            case "thinking":
                self._block["thinking"] = text
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                self._block["input"] = parse_tool_input(text)
        self._started_message()["content"].append(self._block)


async def collect(events: AsyncIterable[list[StreamEvent]]) -> Message:
    """Collect the batches of a reply's events into its message.

    Raises:
        MessagesError: the reply failed.
    """
    collector = Collector()
    async for batch in events:
        for event in batch:
            collector.feed(event)
    return collector._started_message()
