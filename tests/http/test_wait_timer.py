"""The timer of slow clients counts waiting, and no time in which the event loop stood still."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from vllm_messages_plugin.http.wait_timer import LOOK_SECONDS, STEP_SECONDS, WaitTimer


class Clock:
    """The clock and the timers of an event loop, in virtual time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None], asyncio.TimerHandle]] = []
        self._loop = asyncio.new_event_loop()
        self._loop.close()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, (), self._loop)
        heapq.heappush(self._timers, (self.now + delay, next(self._order), callback, handle))
        return handle

    def run(self, seconds: float) -> None:
        """Let time pass with every timer on time."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now = max(self.now, self._timers[0][0])
            self._fire()
        self.now = end

    def stand_still(self, seconds: float) -> None:
        """Let time pass and then fire the timers that have become due, all at once."""
        self.now += seconds
        for _ in range(sum(due <= self.now for due, *_ in self._timers)):
            self._fire()

    def _fire(self) -> None:
        _, _, callback, handle = heapq.heappop(self._timers)
        if not handle.cancelled():
            callback()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def started(seconds: float) -> tuple[WaitTimer, list[Any]]:
    timer, calls = WaitTimer(seconds), []
    timer.start(lambda: calls.append("expired"))
    return timer, calls


def test_the_timer_expires_after_its_time_and_a_look(clock: Clock) -> None:
    _, calls = started(30)
    clock.run(30)
    assert calls == []
    clock.run(LOOK_SECONDS)
    assert calls == ["expired"]
    clock.run(100)
    assert calls == ["expired"]


def test_a_loop_that_stood_still_counts_as_one_step(clock: Clock) -> None:
    _, calls = started(30)
    clock.run(10)
    clock.stand_still(1000)
    clock.run(30 - 10 - STEP_SECONDS)
    assert calls == []
    clock.run(LOOK_SECONDS)
    assert calls == ["expired"]


def test_the_sockets_are_read_once_more_after_a_last_step_that_was_late(clock: Clock) -> None:
    timer, calls = started(30)
    clock.run(29.5)
    clock.stand_still(1000)
    timer.stop()  # as when data has arrived
    clock.run(1000)
    assert calls == []


def test_what_happens_between_stop_and_start_does_not_count(clock: Clock) -> None:
    timer, calls = started(3)
    clock.run(1.5)
    timer.stop()
    clock.run(1000)
    timer.start(lambda: calls.append("expired"))
    clock.run(1.5)
    assert calls == []
    clock.run(LOOK_SECONDS)
    assert calls == ["expired"]


def test_more_time_is_granted_while_the_timer_is_stopped(clock: Clock) -> None:
    timer, calls = started(1)
    clock.run(1)
    timer.stop()
    timer.seconds += 5
    timer.start(lambda: calls.append("expired"))
    clock.run(5)
    assert calls == []
    clock.run(LOOK_SECONDS)
    assert calls == ["expired"]


def test_a_client_that_sends_in_every_look_does_not_prolong_its_time(clock: Clock) -> None:
    timer, calls = started(2)
    while not calls and clock.now < 1000 + 10:
        clock.run(LOOK_SECONDS / 2)
        timer.stop()
        timer.start(lambda: calls.append("expired"))
        clock.run(0)
    assert calls == ["expired"]
    assert clock.now == pytest.approx(1000 + 2 + STEP_SECONDS, abs=LOOK_SECONDS)
