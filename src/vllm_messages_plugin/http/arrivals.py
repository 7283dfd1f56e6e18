"""Spreads requests that arrive at the same time over several turns of the event loop.

The event loop reads all sockets that have data before it does anything else, and then runs a task for each of
the requests. 1,000 requests that arrive at once are two turns of 100 ms each, in which no event of a stream
is written. So the server's protocol class is replaced, before the server listens, by one that takes the data
of at most ARRIVALS_PER_TURN connections in one turn. The rest waits, in the order in which it came, for the
next turns; between them everything else gets its turn.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("vllm.messages")

ARRIVALS_PER_TURN: Final = 32
"""Reading and refusing a request takes up to 0.3 ms: this many take 10 ms."""


class ArrivalQueue:
    """Calls functions in the order of their arrival, and at most so many in one turn of the event loop."""

    def __init__(self, per_turn: int = ARRIVALS_PER_TURN) -> None:
        """Create an empty queue; `per_turn` is the number of calls in one turn."""
        self._per_turn = per_turn
        self._called = 0  # in this turn
        self._waiting: deque[tuple[Callable[[bytes], None], bytes]] = deque()

    def call(self, function: Callable[[bytes], None], data: bytes) -> bool:
        """Call a function with data, now or in a later turn of the loop.

        Returns:
            Whether it was called now.
        """
        if self._called == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._called >= self._per_turn or self._waiting:
            self._waiting.append((function, data))
            return False
        self._called += 1
        function(data)
        return True

    def _next_turn(self) -> None:
        self._called = min(len(self._waiting), self._per_turn)
        if self._called:
            asyncio.get_running_loop().call_soon(self._next_turn)
        for _ in range(self._called):
            function, data = self._waiting.popleft()
            function(data)


class _SpreadArrivals(asyncio.Protocol):
    """Mixin for an HTTP protocol of uvicorn. While data of a connection waits, no more is read from it."""

    arrivals: ArrivalQueue
    _waits = False  # whether a piece of data has not been handed to the protocol
    _is_paused = False
    _is_lost = False
    _transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._waits = True
        if not self.arrivals.call(self._receive, data):
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection, unless a request waits."""
        if not self._waits:
            super().timeout_keep_alive_handler()  # type: ignore[misc]

    def _receive(self, data: bytes) -> None:
        self._waits = False
        if self._is_lost:
            return
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        super().data_received(data)


def spread_arrivals(server: Any) -> None:
    """Make a uvicorn server that does not listen yet take few requests in each turn of its event loop.

    Args:
        server: The `uvicorn.Server`.
    """
    base = getattr(getattr(server, "config", None), "http_protocol_class", None)
    if not isinstance(base, type) or not hasattr(base, "connection_made"):
        log.warning("This HTTP server can't be made to spread requests that arrive at once")
    elif not issubclass(base, _SpreadArrivals):
        spread = type(base.__name__, (_SpreadArrivals, base), {"arrivals": ArrivalQueue()})
        server.config.http_protocol_class = spread
