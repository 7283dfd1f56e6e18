"""Encodes events as the bytes of a `text/event-stream`.

Both official SDKs ignore events without an `event:` line. Deltas, which come with nearly every token, are
written from a template, because encoding the whole event as JSON takes three times as long.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from vllm_messages_plugin.wire.events import PING, StreamEvent, TextDeltaType

# Characters that end a line for readers such as Python's `splitlines`, though not in SSE.
_LINE_ENDS: Final = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_text = encode_basestring  # the same for a string, without the encoder's own checks

# The field with the text, for deltas that come with nearly every token.
_TEXT_FIELDS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_TYPE_AND_TEXT: Final = 2


def dump(value: Any) -> bytes:
    """Encode as compact UTF-8 JSON. A lone surrogate, which UTF-8 can't represent, becomes `?`."""
    return _bytes(_encode(value))


def frame(event: StreamEvent) -> bytes:
    """Encode one event as the lines `event: TYPE`, `data: JSON` and a blank line."""
    if event["type"] == "content_block_delta":
        delta: Mapping[str, Any] = event["delta"]
        if delta["type"] in _TEXT_FIELDS and len(delta) == _TYPE_AND_TEXT:
            return delta_frame(event["index"], delta["type"], delta[_TEXT_FIELDS[delta["type"]]])
    return b"event: " + event["type"].encode() + b"\ndata: " + dump(event) + b"\n\n"


def frames(events: Sequence[StreamEvent]) -> bytes:
    """Encode several events, to be sent together."""
    return frame(events[0]) if len(events) == 1 else b"".join(map(frame, events))


def delta_frame(index: int, kind: TextDeltaType, text: str) -> bytes:
    """Encode a `content_block_delta` event whose delta has only a type and a text.

    Args:
        index: The index of the block.
        kind: The type of the delta: text_delta, thinking_delta or input_json_delta.
        text: Its text.
    """
    return _bytes(f"{_delta_head(index, kind)}{_encode_text(text)}}}}}\n\n")


@lru_cache(maxsize=64)
def _delta_head(index: int, kind: str) -> str:
    """The part of a delta's frame before its text, which is the same for all deltas of a block."""
    return (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
        f'{index},"delta":{{"type":"{kind}","{_TEXT_FIELDS[kind]}":'
    )


def _bytes(text: str) -> bytes:
    if text.isascii():
        return text.encode()
    return text.translate(_LINE_ENDS).encode("utf-8", "replace")


PING_FRAME: Final = frame(PING)
