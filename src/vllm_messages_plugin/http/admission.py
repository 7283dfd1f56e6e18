"""Bounds the number of requests in flight, so that an overloaded server refuses at once instead of queueing.

Each endpoint has its own bound. A request is in flight from its first line until its reply was sent
completely. A refused request costs neither parsing nor tokenisation, because its body is not read.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vllm_messages_plugin.wire.errors import MessagesError

BOUNDED_PATHS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})

MAX_RETRY_SECONDS = 4
"""Refused clients get a `retry-after` of 1 to this many seconds, at random so that they spread out."""


class Admission:
    """Counts the requests of one server process and decides which are admitted."""

    def __init__(self, limit: int | None = None) -> None:
        """Create the counter; `limit` bounds the requests in flight per endpoint, None for no bound."""
        self.limit = limit
        self.is_shutting_down = False
        self.engine_stopped = asyncio.Event()
        self._in_flight: Counter[str] = Counter()

    def shut_down(self) -> None:
        """Refuse all further requests. May be called in any thread."""
        self.is_shutting_down = True

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the replies that the engine left open when it was shut down. May be called in any thread."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.engine_stopped.set)

    def refusal(self, path: str) -> MessagesError | None:
        """Return why a new POST request to a path is refused; None if it is admitted."""
        if path not in BOUNDED_PATHS:
            return None
        if self.is_shutting_down:
            return shutting_down()
        if self.limit is not None and self._in_flight[path] >= self.limit:
            return _overloaded("Overloaded: too many requests are waiting")
        return None

    @property
    def cause(self) -> str:
        """Why requests are refused at present, in the word of the metrics."""
        return "shutdown" if self.is_shutting_down else "queue"

    @contextmanager
    def in_flight(self, path: str) -> Iterator[None]:
        """Count a request to a bounded path for the length of the block."""
        if path not in BOUNDED_PATHS:
            yield
            return
        self._in_flight[path] += 1
        try:
            yield
        finally:
            self._in_flight[path] -= 1


def shutting_down() -> MessagesError:
    """Return the refusal of a server that is shutting down; another replica can serve the retry."""
    return _overloaded("The server is shutting down")


def _overloaded(message: str) -> MessagesError:
    return MessagesError("overloaded_error", message, retry_after=1 + secrets.randbelow(MAX_RETRY_SECONDS))
