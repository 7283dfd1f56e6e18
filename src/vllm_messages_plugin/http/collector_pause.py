"""Pauses Python's garbage collector of reference cycles while a request of many objects is prepared.

A collection visits all objects made since the server started and holds the interpreter's lock all the while.
100,000 messages are 300,000 objects; visiting them takes 100 ms, in which no other request is served. Such a
request is usually refused, and then its objects are freed without the collector. So it does not run until the
response was made; where requests overlap, it runs again after PAUSE_SECONDS and the last of them.

Freeing needs no collector only if no cycle holds the objects. An exception that was raised holds the frames
it passed, and a frame that has the exception in a variable closes a cycle: see `forget_frames`.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.types import Scope

MANY_OBJECTS: Final = 2_000
"""JSON objects in a body from which on the collector is paused. Visiting fewer takes about a millisecond."""

PAUSE_SECONDS: Final = 10.0
"""A request that comes so long after the begin of a pause does not prolong it."""

_PREPARED: Final = "vllm_messages.prepared"
"""The key of a request's scope under which the end of its pause is kept."""


class CollectorPause:
    """Counts the requests for which the collector is paused. For one thread, the event loop's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the counter; `clock` returns seconds."""
        self._clock = clock
        self._requests = 0
        self._begun = 0.0

    def begin(self) -> bool:
        """Pause the collector; False if it was off already or a pause has lasted too long."""
        if self._requests == 0:
            if not gc.isenabled():
                return False
            gc.disable()
            self._begun = self._clock()
        elif self._clock() - self._begun > PAUSE_SECONDS:
            return False
        self._requests += 1
        return True

    def end(self) -> None:
        """End the pause of one request, which `begin` has begun."""
        self._requests -= 1
        if self._requests == 0:
            gc.enable()


_PAUSE: Final = CollectorPause()


def pause_for(objects: int, scope: Scope) -> None:
    """Pause the collector until `pause_ended` of a request's scope ends, if its body has many objects.

    Args:
        objects: The number of JSON objects in the body, or more.
        scope: The request's scope.
    """
    if _PREPARED in scope and objects > MANY_OBJECTS:
        scope[_PREPARED] = scope[_PREPARED] or _PAUSE.begin()


@contextmanager
def pause_ended(scope: Scope) -> Iterator[None]:
    """End the pause that `pause_for` may begin inside the block, when the block ends."""
    scope[_PREPARED] = False
    try:
        yield
    finally:
        if scope.pop(_PREPARED):
            _PAUSE.end()


def forget_frames(error: BaseException) -> None:
    """Make an exception that was dealt with, and its causes, let go of the frames they passed."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        waiting += (current.__cause__, current.__context__)
