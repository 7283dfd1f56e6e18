"""Many clients at once against one server, until a moment; and the counts of what they did."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import anthropic
import httpx
import httpx2

from soak.actions import ACTIONS, Action, Client, ViolationError
from soak.probe import PATH

log = logging.getLogger("soak")

BEAT_SECONDS = 0.2
SETTLE_SECONDS = 20.0
"""How long the server may take to end what its clients have left."""


@dataclass
class Counts:
    """What happened: actions done by name, and violations by message."""

    done: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    """Requests that ended because the server was stopped, by the exception."""
    standstill: float = 0.0
    """The longest time in seconds for which this process was not run. Its clients are slow for as long."""


async def watch_standstills(counts: Counts) -> None:
    """Measure how late the event loop is, until cancelled."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(BEAT_SECONDS)
        counts.standstill = max(counts.standstill, time.monotonic() - begun - BEAT_SECONDS)


async def act(client: Client, action: Action, counts: Counts, *, stopping: asyncio.Event) -> None:
    """Do an action and count it; what fails while the server is being stopped is no violation."""
    try:
        await action(client)
    except (ViolationError, anthropic.APIError, httpx.TransportError, httpx2.TransportError) as error:
        if stopping.is_set():
            counts.broken[type(error).__name__] += 1
        else:
            counts.violations[f"{action.__name__}: {_described(error)}"] += 1
            log.error("%s failed", action.__name__, exc_info=error)
    else:
        counts.done[action.__name__] += 1


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, ViolationError) else f"{type(error).__name__}: {str(error)[:200]}"


async def work(client: Client, until: float, counts: Counts, stopping: asyncio.Event) -> None:
    """Do one random action after the other until the moment, or until the server is being stopped."""
    actions, weights = list(ACTIONS), list(ACTIONS.values())
    while time.monotonic() < until and not stopping.is_set():
        (action,) = client.random.choices(actions, weights)
        await act(client, action, counts, stopping=stopping)


@dataclass
class Load:
    """A set of clients of one server."""

    url: str
    model: str
    streams: int
    seed: int
    counts: Counts = field(default_factory=Counts)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, seconds: float) -> None:
        """Have all clients work for some seconds, then wait for their last requests."""
        until = time.monotonic() + seconds
        # No connection expires: after this process stood still for longer than one may be idle, httpcore
        # closes connections on which requests have just begun, which then fail with a ReadError.
        limits = {"max_connections": self.streams, "keepalive_expiry": None}
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=120, limits=httpx2.Limits(**limits)) as transport,
            httpx.AsyncClient(
                base_url=self.url, trust_env=False, timeout=120, limits=httpx.Limits(**limits)
            ) as plain,
        ):
            sdk = anthropic.AsyncAnthropic(
                base_url=self.url, api_key="x", max_retries=0, http_client=transport
            )
            clients = [
                Client(sdk, plain, self.model, random.Random(self.seed + number))
                for number in range(self.streams)
            ]
            watch = asyncio.create_task(watch_standstills(self.counts))
            try:
                await asyncio.gather(*(work(client, until, self.counts, self.stopping) for client in clients))
            finally:
                watch.cancel()

    async def held(self) -> dict[str, int]:
        """Return what the idle server holds: the smallest number of tasks seen within a few seconds."""
        readings: list[dict[str, int]] = []
        deadline = time.monotonic() + SETTLE_SECONDS
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=120) as plain:
            while time.monotonic() < deadline and not settled(readings):
                readings.append((await plain.get(PATH)).json())
                await asyncio.sleep(1)
        return min(readings, key=lambda reading: (reading["tasks"], reading["descriptors"]))


def settled(readings: Sequence[dict[str, int]]) -> bool:
    """Whether the last five readings found the same tasks and file descriptors."""
    last = [(reading["tasks"], reading["descriptors"]) for reading in readings[-5:]]
    return len(last) == 5 and len(set(last)) == 1
