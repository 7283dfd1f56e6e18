"""SSE responses that send `ping` while the engine is silent and cancel the work when the client disconnects.

Claude Code drops a stream after 300 s without a byte and gives up after 30 pings in a row, so pings must be
neither too rare nor too frequent.
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
class PingIntervals:
    """Seconds of silence before the first ping, and between the pings that follow."""

    first: float
    following: float


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has closed the connection. The request body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_on_disconnect(work: Coroutine[Any, Any, Result], receive: Receive) -> Result | None:
    """Run a coroutine while the client stays connected.

    Returns:
        The coroutine's result; None if the client disconnected first, after which the work is cancelled.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        watch.cancel()
        task.cancel()
        await asyncio.gather(watch, task, return_exceptions=True)


class EventStream(Response):
    """A `text/event-stream` response that pings while there are no frames.

    The frame iterator is closed when the client disconnects.
    """

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncIterator[bytes], intervals: PingIntervals, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        del self.headers["content-length"]
        self._frames = frames
        self._intervals = intervals
        self._last_sent = 0.0  # loop time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        pings = asyncio.ensure_future(self._send_pings(send))
        try:
            await cancel_on_disconnect(self._send_frames(send), receive)
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)

    async def _send_frames(self, send: Send) -> None:
        now = asyncio.get_running_loop().time
        self._last_sent = now()
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            self._last_sent = now()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_pings(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._last_sent = loop.time()
        silence = self._intervals.first
        while True:
            last_sent = self._last_sent
            await asyncio.sleep(max(last_sent + silence - loop.time(), 0))
            if self._last_sent > last_sent:
                silence = self._intervals.first
                continue
            await send({"type": "http.response.body", "body": PING_FRAME, "more_body": True})
            self._last_sent = loop.time()
            silence = self._intervals.following
