"""Events folded into the `Message` of a reply that is not streamed.

Called by `http.messages`. There is no second path: what a client's accumulator makes of the stream is
what this returns, which `tests/stream` checks against the official SDK's own.
"""

import json
import re
from collections.abc import AsyncIterable
from typing import Any

import pydantic_core

from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import ContentBlockDelta, Event, MessageDelta
from vllm_messages_plugin.wire.message import Message

_HUGE = re.compile(r"\d[eE]\+?\d{3}|\d{309}")  # may be read as an infinity, which JSON can't carry

BROKEN_INPUT = "INVALID_JSON"
"""Key under which a tool's unreadable arguments are handed on, as Anthropic's documentation proposes."""


def read_input(text: str) -> Any:
    """A tool call's input from the JSON text that was streamed; a cut text gives what is whole of it."""
    if not text.strip():
        return {}
    try:
        value = pydantic_core.from_json(text, allow_inf_nan=False, allow_partial=True)
        if _HUGE.search(text):
            json.dumps(value, allow_nan=False)
        return value
    except ValueError:
        return {BROKEN_INPUT: text}


class Collector:
    """Folds one reply's events. `message` is whole once `message_stop` was fed."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self._pieces: list[str] = []
        self._block: Any = None

    def feed(self, event: Event) -> None:
        """Take one event in.

        Raises:
            MessagesError: the event is an `error`.
        """
        match event["type"]:
            case "message_start":
                self.message = {**event["message"], "content": []}
            case "content_block_start":
                self._block = dict(event["content_block"])
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

    def _end(self, event: MessageDelta) -> None:
        message = self._whole()
        message["stop_reason"] = event["delta"]["stop_reason"]
        message["stop_sequence"] = event["delta"]["stop_sequence"]
        message["stop_details"] = event["delta"]["stop_details"]
        message["usage"] = event["usage"]
        if "context_management" in event:
            message["context_management"] = event["context_management"]

    def _whole(self) -> Message:
        assert self.message is not None, "message_start comes first"
        return self.message

    def _add(self, event: ContentBlockDelta) -> None:
        delta = event["delta"]
        match delta["type"]:
            case "text_delta":
                self._pieces.append(delta["text"])
            case "thinking_delta":
                self._pieces.append(delta["thinking"])
            case "input_json_delta":
                self._pieces.append(delta["partial_json"])
            case "signature_delta":
                self._block["signature"] = delta["signature"]

    def _close(self) -> None:
        text = "".join(self._pieces)
        match self._block["type"]:
            case "text":
                self._block["text"] = text
            case "thinking":
                self._block["thinking"] = text
            case "tool_use":
                self._block["input"] = read_input(text)
        self._whole()["content"].append(self._block)


async def collect(events: AsyncIterable[list[Event]]) -> Message:
    """The whole message of a reply.

    Raises:
        MessagesError: the reply failed.
    """
    collector = Collector()
    async for together in events:
        for event in together:
            collector.feed(event)
    return collector._whole()
