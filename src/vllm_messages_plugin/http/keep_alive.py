"""Answers that outlast silence, and end when the client has gone.

Used by `messages`. Claude Code drops a stream after 300 s without a byte and counts only 30 pings in a
row, so pings come neither too rarely nor too often.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vllm_messages_plugin.wire.sse import PING_FRAME

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds of silence before the first ping, and between the further ones."""

    first: float
    every: float


async def _gone(receive: Receive) -> None:
    """Returns when the client has closed the connection. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(work: Coroutine[Any, Any, Result], receive: Receive) -> Result | None:
    """The result of `work`; None if the client went first, in which case the work is cancelled."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        watch.cancel()
        task.cancel()
        await asyncio.gather(watch, task, return_exceptions=True)


class EventStream(Response):
    """An event stream that pings through silence; closes `frames` when the client goes."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], rhythm: Rhythm, headers: Mapping[str, str]) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        del self.headers["content-length"]
        self._frames = frames
        self._rhythm = rhythm
        self._last = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pings = asyncio.ensure_future(self._ping(send))
        try:
            await unless_gone(self._pump(send), receive)
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        self._last = asyncio.get_running_loop().time()
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            self._last = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ping(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        silence = self._rhythm.first
        while True:
            heard = self._last
            await asyncio.sleep(max(heard + silence - loop.time(), 0))
            if self._last > heard:
                silence = self._rhythm.first
                continue
            await send({"type": "http.response.body", "body": PING_FRAME, "more_body": True})
            self._last = loop.time()
            silence = self._rhythm.every
