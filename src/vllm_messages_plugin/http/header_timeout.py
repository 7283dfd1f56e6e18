"""Disconnects clients that open a connection and never complete the headers of a request.

Uvicorn limits how long a connection may be idle between requests, but not how long the headers of a request
may take; thousands of such connections exhaust the process's file descriptors. No ASGI middleware sees them,
because no request begins. So the server's protocol class is replaced, before the server listens, by one
with a timer, which runs while nothing or only an incomplete head has arrived on a connection.

Neither this timer nor uvicorn's own for idle connections closes a connection on which a request has arrived
while the server stood still: both read the socket once more first (see `wait_timer`).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from vllm_messages_plugin.http.wait_timer import LOOK_SECONDS, WaitTimer

log = logging.getLogger("vllm.messages")


class _HeaderTimeout(asyncio.Protocol):
    """Mixin for an HTTP protocol of uvicorn; `cycle` is its current request and response, None before any."""

    header_seconds: float
    cycle: Any
    scope: Any
    send_400_response: Callable[[str], None]
    timeout_keep_alive_task: asyncio.TimerHandle | None
    _header_timer: WaitTimer | None = None
    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = transport
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaits_headers():
            self._start_timer()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection, unless data arrives at once, which cancels uvicorn's timer."""
        close = super().timeout_keep_alive_handler  # type: ignore[misc]
        self.timeout_keep_alive_task = asyncio.get_running_loop().call_later(LOOK_SECONDS, close)

    def handle_websocket_upgrade(self, *event: Any) -> None:
        """Open a websocket, with a GET only (RFC 6455, 4.1): the handshake would wait for one without end."""
        if self.scope["method"] == "GET":
            super().handle_websocket_upgrade(*event)  # type: ignore[misc]
        else:
            self.send_400_response("Only a GET request can open a websocket.")

    def _awaits_headers(self) -> bool:
        """Whether no request is in progress; an upgrade gives the connection to another protocol."""
        if self._transport.is_closing() or self._transport.get_protocol() is not self:
            return False
        return self.cycle is None or bool(self.cycle.response_complete)

    def _start_timer(self) -> None:
        if self._header_timer is None:
            self._header_timer = WaitTimer(self.header_seconds)
            self._header_timer.start(self._disconnect)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.stop()
            self._header_timer = None

    def _disconnect(self) -> None:
        self._header_timer = None
        if self._awaits_headers():
            self._transport.close()


def limit_header_time(server: Any, seconds: float) -> None:
    """Make a uvicorn server that does not listen yet disconnect clients whose headers take too long.

    Args:
        server: The `uvicorn.Server`.
        seconds: How long the headers of a request may take.
    """
    base = getattr(getattr(server, "config", None), "http_protocol_class", None)
    if not isinstance(base, type) or not hasattr(base, "connection_made"):
        log.warning("This HTTP server can't be made to limit how long a client takes to send its headers")
    elif not issubclass(base, _HeaderTimeout):
        limited = type(base.__name__, (_HeaderTimeout, base), {"header_seconds": seconds})
        server.config.http_protocol_class = limited
