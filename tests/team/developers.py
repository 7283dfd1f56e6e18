"""The developers of the simulation: their requests, their pauses, and what they got."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

HOUR = 3600.0
TOOL: dict[str, Any] = {"name": "Read", "input_schema": {"type": "object"}}
AGENTS = 8
"""How many agents of a greedy developer run at once."""
TURNS = (3, 12)
"""The requests of an agent behind one question: the fewest and the most."""
READING_SECONDS = (60.0, 300.0)
"""How long a developer reads a reply and writes the next question."""
TOOL_SECONDS = (2.0, 15.0)
"""How long a tool runs between two requests of an agent."""
LONGEST_RETRY_SECONDS = 20.0


@dataclass
class Developer:
    """One developer's key, and what their requests got."""

    name: str
    greedy: bool
    waits: list[float] = field(default_factory=list)
    """Seconds from a request to the first event of its reply, retries included."""
    refused: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    last_reply: float = 0.0
    longest_gap: float = 0.0
    """The longest time for which this developer had requests waiting and no reply ended."""


@dataclass
class Office:
    """All developers at work on one server.

    Attributes:
        url: The server.
        speed: How many seconds of the simulated time pass in one second.
        until: The end, in the time of `time.monotonic`.
    """

    url: str
    speed: float
    until: float
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    async def work(self, developers: Sequence[Developer]) -> None:
        """Let the developers work until the end."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=120, limits=limits) as http:
            await asyncio.gather(*(self._developer(http, each) for each in developers))

    async def _developer(self, http: httpx.AsyncClient, developer: Developer) -> None:
        if developer.greedy:
            await asyncio.gather(*(self._agent(http, developer, number) for number in range(AGENTS)))
            return
        await self._pause((0.0, READING_SECONDS[1]))
        while time.monotonic() < self.until:
            await self._question(http, developer)
            await self._pause(READING_SECONDS)

    async def _agent(self, http: httpx.AsyncClient, developer: Developer, number: int) -> None:
        while time.monotonic() < self.until:
            await self._request(http, developer, {"x-claude-code-agent-id": f"agent-{number}"})

    async def _question(self, http: httpx.AsyncClient, developer: Developer) -> None:
        session = {"x-claude-code-session-id": developer.name}
        await self._request(http, developer, session, tools=False)  # the title
        for _ in range(self.dice.randint(*TURNS)):
            await self._request(http, developer, session)
            await self._pause(TOOL_SECONDS)

    async def _request(
        self, http: httpx.AsyncClient, developer: Developer, headers: dict[str, str], *, tools: bool = True
    ) -> None:
        begun = time.monotonic()
        body = {
            "model": "fake", "max_tokens": 100, "stream": True, "tools": [TOOL] if tools else [],
            "messages": [{"role": "user", "content": "Go on."}],
        }  # fmt: skip
        key = {"x-api-key": f"key-{developer.name}"}
        while time.monotonic() < self.until:
            try:
                retry_after = await self._send(http, developer, {**key, **headers}, body, begun)
            except httpx.HTTPError as error:
                developer.failed[type(error).__name__] += 1
                return
            if retry_after is None:
                developer.longest_gap = max(
                    developer.longest_gap, time.monotonic() - max(developer.last_reply, begun)
                )
                developer.last_reply = time.monotonic()
                return
            await asyncio.sleep(min(retry_after, LONGEST_RETRY_SECONDS))

    async def _send(
        self,
        http: httpx.AsyncClient,
        developer: Developer,
        headers: dict[str, str],
        body: dict[str, Any],
        begun: float,
    ) -> float | None:
        """Send a request once; return the seconds to wait before the next try, None if it was served."""
        async with http.stream("POST", "/v1/messages", json=body, headers=headers) as reply:
            if reply.status_code in (429, 529):
                developer.refused[reply.status_code] += 1
                return float(reply.headers.get("retry-after", 1))
            events = [line async for line in self._timed(reply, developer, begun)]
            if reply.status_code != 200 or "event: message_stop" not in events:
                developer.failed[f"HTTP {reply.status_code}"] += 1
        return None

    @staticmethod
    async def _timed(reply: httpx.Response, developer: Developer, begun: float) -> Any:
        first = True
        async for line in reply.aiter_lines():
            if first and reply.status_code == 200:
                developer.waits.append(time.monotonic() - begun)
                first = False
            yield line

    async def _pause(self, bounds: tuple[float, float]) -> None:
        seconds = self.dice.uniform(*bounds) / self.speed
        await asyncio.sleep(min(seconds, max(self.until - time.monotonic(), 0)))
