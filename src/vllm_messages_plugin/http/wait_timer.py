"""A timer for clients, which does not count time in which the server itself stood still.

How it works and why. A plain timer that is due when the event loop goes on after it stood still (a long
callback, a stopped or starved process) may fire before the loop has read its sockets, or before the task that
waits for the data has run. So a client would be refused whose data has been in the socket's buffer all the
time. This timer runs in steps. However late the loop is, a step counts with its own length only, and after
the last of them comes a short look, in which the loop reads what has arrived.
"""

import asyncio
from collections.abc import Callable
from typing import Final

STEP_SECONDS: Final = 1.0
"""The longest step. A time in which the loop stands still counts with no more than this."""

LOOK_SECONDS: Final = 0.05
"""The length of the look. One turn of the loop is enough to read the sockets."""


class WaitTimer:
    """Calls a function after some seconds of waiting for a client.

    Attributes:
        seconds: How long to wait in all, in seconds; may grow between `stop` and `start`.
    """

    def __init__(self, seconds: float) -> None:
        """Create a timer that does not run yet."""
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._expired: Callable[[], object] = self.stop
        self._waited = 0.0  # seconds, of all steps that have ended
        self._length = 0.0  # of the step that runs
        self._begun = 0.0  # loop time
        self._handle: asyncio.TimerHandle | None = None

    def start(self, expired: Callable[[], object]) -> None:
        """Begin to wait, or go on after `stop`.

        Args:
            expired: Called when the time is over, unless `stop` comes before.
        """
        self._expired = expired
        left = self.seconds - self._waited
        if left > 0:
            self._run(min(left, STEP_SECONDS), self._step_ended)
        elif left > -STEP_SECONDS:
            self._look()
        else:  # a client that sends a byte in each look must not go on without end
            self._run(0, self._look_ended)

    def stop(self) -> None:
        """Stop waiting. The time since `start` counts."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._waited += min(self._loop.time() - self._begun, self._length)

    def _run(self, length: float, ended: Callable[[], None]) -> None:
        self._length, self._begun = length, self._loop.time()
        self._handle = self._loop.call_later(length, ended)

    def _step_ended(self) -> None:
        self._waited += self._length
        if self._waited < self.seconds:
            self._run(min(self.seconds - self._waited, STEP_SECONDS), self._step_ended)
        else:
            self._look()

    def _look(self) -> None:
        self._run(LOOK_SECONDS, self._look_ended)

    def _look_ended(self) -> None:
        self._handle = None
        self._expired()
