"""Bounds what the head of a request may take: bytes, and fields.

Uvicorn's usual HTTP parser, httptools, has no such bound. A client whose header fields, field values, URL or
trailers never end filled the server's memory at a hundred megabytes a second, and copying what had arrived
took ever longer. So the server's protocol class is replaced, before the server listens, by one that counts.
Uvicorn's other parser, h11, has bounds of its own, which vLLM's flags set.

Trailers, fields that follow a body in chunks, are dropped: uvicorn would add them to the headers that a
proxy in front has checked.
"""

import asyncio
from typing import Any, Final

from vllm_messages_plugin.wire.errors import MessagesError, error_body, new_request_id
from vllm_messages_plugin.wire.sse import dump

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 256
"""vLLM's own bound for h11."""


class _TooLongError(Exception):
    """A head is above a bound. Raised in the parser, whose server then calls `send_400_response`."""


class _HeadLimit(asyncio.Protocol):
    """Mixin for uvicorn's protocol on httptools; `cycle` is its current request, None before any."""

    cycle: Any
    transport: Any
    _silent_bytes = 0  # that arrived since the parser last completed a head, or found a part of a body
    _head_bytes = 0
    _fields = 0
    _is_in_head = True
    _is_too_long = False

    def data_received(self, data: bytes) -> None:
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes, self._fields = True, 0, 0
        super().on_message_begin()  # type: ignore[misc]

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._head_bytes += len(name) + len(value)
        if self._fields > MAX_FIELDS or self._head_bytes > MAX_HEAD_BYTES:
            self._is_too_long = True
            raise _TooLongError
        if self._is_in_head:
            super().on_header(name, value)  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        self._is_in_head, self._silent_bytes = False, 0
        super().on_headers_complete()  # type: ignore[misc]

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        super().on_body(body)  # type: ignore[misc]

    def on_message_complete(self) -> None:
        self._silent_bytes = 0
        super().on_message_complete()  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not accept."""
        if self._is_too_long:
            self._refuse()
        else:
            super().send_400_response(msg)  # type: ignore[misc]

    def _refuse(self) -> None:
        """End the connection, with a reply unless another one is being sent."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_refusal())
        self.transport.close()


def _refusal() -> bytes:
    message = f"The request's headers exceed {MAX_HEAD_BYTES // 1024} KiB or {MAX_FIELDS} fields"
    error = MessagesError("invalid_request_error", message, status=431)
    body = dump(error_body(error, new_request_id()))
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    return f"HTTP/1.1 431 Request Header Fields Too Large\r\n{head}\r\n".encode() + body


def limit_heads(server: Any) -> None:
    """Make a uvicorn server that does not listen yet refuse requests whose headers are too long.

    Args:
        server: The `uvicorn.Server`. One whose parser has bounds of its own is left as it is.
    """
    base = getattr(getattr(server, "config", None), "http_protocol_class", None)
    if isinstance(base, type) and hasattr(base, "on_header") and not issubclass(base, _HeadLimit):
        server.config.http_protocol_class = type(base.__name__, (_HeadLimit, base), {})
