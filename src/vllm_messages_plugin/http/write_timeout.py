"""Disconnects clients that don't read their replies.

A reply that is longer than the buffers between waits until the client reads on. Uvicorn waits without end,
and the request counts as one in flight until then: as many connections as are admitted, none of which reads,
would keep everybody else out. So the server's protocol class is replaced, before the server listens, by one
with a timer, which runs while the client takes next to nothing of a full buffer.
"""

import asyncio
import logging
from typing import Any, Final

from vllm_messages_plugin.http.wait_timer import WaitTimer

log = logging.getLogger("vllm.messages")

MIN_PROGRESS: Final = 16 * 1024
"""Bytes that a client must take of a full buffer, each time the timer runs."""

PATIENCE: Final = 4
"""A client may stand still while it reads for this many times the time that it has for sending."""


class _WriteTimeout(asyncio.Protocol):
    """Mixin for an HTTP protocol of uvicorn."""

    write_seconds: float
    _write_timer: WaitTimer | None = None
    _connection: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = transport
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Begin to wait for the client, because the buffer is full."""
        super().pause_writing()
        if self._write_timer is None:
            self._await_progress()

    def resume_writing(self) -> None:
        """Go on, because the client has emptied the buffer."""
        self._stop_write_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_write_timer()
        super().connection_lost(exc)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.stop()
            self._write_timer = None

    def _await_progress(self) -> None:
        waiting = self._connection.get_write_buffer_size()
        self._write_timer = WaitTimer(self.write_seconds)
        self._write_timer.start(lambda: self._check_progress(waiting))

    def _check_progress(self, before: int) -> None:
        self._write_timer = None
        if before - self._connection.get_write_buffer_size() >= MIN_PROGRESS:
            self._await_progress()
        else:
            self._connection.abort()


def limit_write_time(server: Any, seconds: float) -> None:
    """Make a uvicorn server that does not listen yet disconnect clients that don't read their replies.

    Args:
        server: The `uvicorn.Server`.
        seconds: How long a client may take for 16 KiB.
    """
    base = getattr(getattr(server, "config", None), "http_protocol_class", None)
    if not isinstance(base, type) or not hasattr(base, "pause_writing"):
        log.warning("This HTTP server can't be made to limit how long a client takes to read a reply")
    elif not issubclass(base, _WriteTimeout):
        limited = type(base.__name__, (_WriteTimeout, base), {"write_seconds": seconds})
        server.config.http_protocol_class = limited
