"""Events into the bytes of a `text/event-stream`.

Called by `http.messages` for every event. Both official SDKs read nothing without `event:` lines.
"""

import json
from typing import Any, Final

from vllm_messages_plugin.wire.events import PING, Event

# Characters at which line readers such as Python's `splitlines` part a line that SSE doesn't.
_LINE_ENDS: Final = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump(value: Any) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate, which UTF-8 can't carry, becomes `?`."""
    text = _encode(value)
    if not text.isascii():
        text = text.translate(_LINE_ENDS)
    return text.encode("utf-8", "replace")


def frame(event: Event) -> bytes:
    """One event as `event: TYPE`, `data: JSON` and a blank line."""
    return b"event: " + event["type"].encode() + b"\ndata: " + dump(event) + b"\n\n"


PING_FRAME: Final = frame(PING)
