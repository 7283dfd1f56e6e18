"""An engine that plays replies for a limited number of requests at once, smaller priorities first."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, PromptProcessed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakePrompt

WORDS = 8


@dataclass
class Slots:
    """A semaphore whose waiters are woken by priority, then in the order of their arrival."""

    free: int
    _arrivals: int = 0
    _waiting: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)

    async def take(self, priority: int) -> None:
        """Wait for a slot and take it."""
        if self.free:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Pass a slot on to the next waiter."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


@dataclass
class SlotEngine(FakeEngine):
    """Takes `max_running` requests at once; each takes `seconds`, and gives its words one by one."""

    seconds: float = 0.5
    slots: Slots = field(default_factory=lambda: Slots(0))

    def __post_init__(self) -> None:
        self.slots.free = self.max_running

    async def generate(
        self,
        prompt: FakePrompt,
        *_: Any,
        headers: Mapping[str, str],
        priority: int = 0,
        **__: Any,
    ) -> AsyncIterator[EngineDelta]:
        return self._reply(prompt, priority)

    async def _reply(self, prompt: FakePrompt, priority: int) -> AsyncIterator[EngineDelta]:
        await self.slots.take(priority)
        try:
            yield PromptProcessed(prompt.tokens, 0)
            for _ in range(WORDS):
                await asyncio.sleep(self.seconds / WORDS)
                yield EngineText("word ")
            yield ReplyFinished("stop", WORDS)
        finally:
            self.slots.give_back()
