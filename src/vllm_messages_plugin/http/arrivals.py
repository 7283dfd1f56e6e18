"""Spreads requests that arrive at the same time over several turns of the event loop.

The event loop reads all sockets that have data before it does anything else, and then runs a task for each of
the requests. 1,000 requests that arrive at once are two turns of 100 ms each, in which no event of a stream
is written. So the server's protocol class is replaced, before the server listens, by one that takes the data
of few connections in one turn. The rest waits, in the order in which it came, for the next turns; between
them everything else gets its turn.

A request that is refused because of overload gets its reply here, from its first bytes, where that is
possible (see `early_refusal`): that takes a fifth of the time, so many more of them are taken in one turn.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("vllm.messages")

COST_PER_TURN: Final = 256
"""What the calls of one turn may cost together; they take about 10 ms."""
REQUEST_COST: Final = 22
"""Of the beginning of a request: 12 in a turn. Reading and preparing a short one takes about a millisecond;
with fewer in a turn, a burst takes more time in all."""
COST: Final = 8
"""Of other data that the server parses: 32 pieces in a turn."""
REFUSAL_COST: Final = 1
"""Of a request that is refused from its first bytes."""

_REQUEST: Final = b"POST "
"""How the requests begin whose work is more than reading them."""

EarlyRefusal = Callable[[bytes, str], bytes | None]
"""Takes the first data of a connection and the client's address; returns the reply of a request that is
refused."""


class ArrivalQueue:
    """Calls functions in the order of their arrival, and only as many in one turn as their costs allow."""

    def __init__(self, cost_per_turn: int = COST_PER_TURN) -> None:
        """Create an empty queue; `cost_per_turn` is what ends the calls of one turn."""
        self._per_turn = cost_per_turn
        self._spent = 0  # in this turn
        self._waiting: deque[tuple[Callable[[bytes], int], bytes]] = deque()

    def call(self, function: Callable[[bytes], int], data: bytes) -> bool:
        """Call a function with data, now or in a later turn of the loop.

        Args:
            function: Returns what the call has cost, at least 1.
            data: Its argument.

        Returns:
            Whether it was called now.
        """
        if self._spent == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._spent >= self._per_turn or self._waiting:
            self._waiting.append((function, data))
            return False
        self._spent += function(data)
        return True

    def _next_turn(self) -> None:
        self._spent = 0
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next_turn)
        while self._waiting and self._spent < self._per_turn:
            function, data = self._waiting.popleft()
            self._spent += function(data)


class _SpreadArrivals(asyncio.Protocol):
    """Mixin for an HTTP protocol of uvicorn. While data of a connection waits, no more is read from it."""

    arrivals: ArrivalQueue
    refuse: EarlyRefusal | None = None
    _is_new = True  # whether nothing has been handed to the protocol
    _is_paused = False
    _is_lost = False
    _transport: Any = None
    timeout_keep_alive_task: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self.arrivals.call(self._receive, data):
            self._is_paused = True
            self._transport.pause_reading()
            self._stop_idle_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        super().connection_lost(exc)

    def _stop_idle_timer(self) -> None:
        """Stop uvicorn's timer, as uvicorn does once it gets the data: the connection is not idle."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _receive(self, data: bytes) -> int:
        """Handle data of the connection; return what that costs."""
        if self._is_lost:
            return REFUSAL_COST
        if self._is_new and self._was_refused(data):
            return REFUSAL_COST
        self._is_new = False
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        super().data_received(data)
        return REQUEST_COST if data.startswith(_REQUEST) else COST

    def _was_refused(self, data: bytes) -> bool:
        if self.refuse is None or (reply := self.refuse(data, _address(self._transport))) is None:
            return False
        self._transport.write(reply)
        self._transport.close()
        return True


def _address(transport: asyncio.Transport) -> str:
    """The address of a connection's client, as uvicorn writes it in its access log."""
    peer = transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""


def spread_arrivals(server: Any, refuse: EarlyRefusal | None = None) -> None:
    """Make a uvicorn server that does not listen yet take few requests in each turn of its event loop.

    Args:
        server: The `uvicorn.Server`.
        refuse: Refuses requests from their first bytes; without it the server's app refuses all.
    """
    base = getattr(getattr(server, "config", None), "http_protocol_class", None)
    if not isinstance(base, type) or not hasattr(base, "connection_made"):
        log.warning("This HTTP server can't be made to spread requests that arrive at once")
    elif not issubclass(base, _SpreadArrivals):
        own = {"arrivals": ArrivalQueue(), "refuse": None if refuse is None else staticmethod(refuse)}
        server.config.http_protocol_class = type(base.__name__, (_SpreadArrivals, base), own)
