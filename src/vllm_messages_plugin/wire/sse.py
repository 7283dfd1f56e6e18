"""Events into the bytes of a `text/event-stream`.

Called by `http.messages` for every event. Both official SDKs read nothing without `event:` lines.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from vllm_messages_plugin.wire.events import PING, Event

# Characters at which line readers such as Python's `splitlines` part a line that SSE doesn't.
_LINE_ENDS: Final = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# Where the text stands in the deltas that come with nearly every token.
_TEXTS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_KIND_AND_TEXT: Final = 2


def dump(value: Any) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate, which UTF-8 can't carry, becomes `?`."""
    return _bytes(_encode(value))


def frame(event: Event) -> bytes:
    """One event as `event: TYPE`, `data: JSON` and a blank line."""
    if event["type"] == "content_block_delta":
        delta: Mapping[str, Any] = event["delta"]
        if delta["type"] in _TEXTS and len(delta) == _KIND_AND_TEXT:
            return _text_frame(event["index"], delta["type"], delta[_TEXTS[delta["type"]]])
    return b"event: " + event["type"].encode() + b"\ndata: " + dump(event) + b"\n\n"


def _text_frame(index: int, kind: str, text: str) -> bytes:
    """What `frame` would write of a kind and a text alone, in a third of the time."""
    return _bytes(
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
        f'{index},"delta":{{"type":"{kind}","{_TEXTS[kind]}":{_encode(text)}}}}}\n\n'
    )


def _bytes(text: str) -> bytes:
    if not text.isascii():
        text = text.translate(_LINE_ENDS)
    return text.encode("utf-8", "replace")


PING_FRAME: Final = frame(PING)
