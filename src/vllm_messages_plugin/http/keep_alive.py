"""SSE responses that send `ping` while the engine is silent and cancel the work when the client disconnects.

Claude Code drops a stream after 300 s without a byte and gives up after 30 pings in a row, so pings must be
neither too rare nor too frequent.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vllm_messages_plugin.http.admission import shutting_down
from vllm_messages_plugin.http.event_writer import EventWriter
from vllm_messages_plugin.http.streamed_reply import StreamedReply, cancel
from vllm_messages_plugin.wire.errors import MessagesError, error_body
from vllm_messages_plugin.wire.events import ErrorEvent
from vllm_messages_plugin.wire.sse import PING_FRAME, frame

Result = TypeVar("Result")

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

STOP_SECONDS = 0.5
"""How long a reply may take to end by itself after the engine was shut down, as it does if the engine reports
its end. The engine of several API server processes does not."""


@dataclass(frozen=True, slots=True)
class PingIntervals:
    """Seconds of silence before the first ping, and between the pings that follow."""

    first: float
    following: float


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has closed the connection. The request body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_on_disconnect(
    work: Coroutine[Any, Any, Result], receive: Receive, engine_stopped: asyncio.Event | None = None
) -> Result | None:
    """Run a coroutine while the client stays connected and the engine runs.

    Args:
        work: The coroutine, which is cancelled if it can't end.
        receive: The request's `receive`; its body must have been read.
        engine_stopped: Set when the engine was shut down. The work then has STOP_SECONDS left.

    Returns:
        The coroutine's result; None if the client disconnected first.

    Raises:
        MessagesError: The server shut down before the work was done.
    """
    task = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(_wait_for_disconnect(receive))
    stopped = asyncio.ensure_future((engine_stopped or asyncio.Event()).wait())
    try:
        await asyncio.wait({task, disconnected, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            done, _ = await asyncio.wait(
                {task, disconnected}, timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise shutting_down()
        return task.result() if task.done() else None
    finally:
        for pending in (task, disconnected, stopped):
            pending.cancel()
        await asyncio.gather(task, disconnected, stopped, return_exceptions=True)


class EventStream(Response):
    """A `text/event-stream` response that pings while there are no frames.

    The reply is aborted when the client disconnects.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        reply: StreamedReply,
        intervals: PingIntervals,
        request_id: str,
        engine_stopped: asyncio.Event | None = None,
    ) -> None:
        """Prepare the response.

        Args:
            reply: The reply, admitted.
            intervals: When to ping.
            request_id: The id of the request.
            engine_stopped: Set when the engine was shut down; a stream that is still open then ends with an
                `error` event.
        """
        super().__init__(headers=dict(HEADERS, **{"request-id": request_id}))
        del self.headers["content-length"]
        self._reply = reply
        self._intervals = intervals
        self._request_id = request_id
        self._engine_stopped = engine_stopped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        writer = pings = None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            writer = EventWriter(send, self._reply.source)
            self._reply.write_first(writer)  # here, because a task would begin a turn of the event loop later
            pings = asyncio.ensure_future(self._send_pings(writer))
            await cancel_on_disconnect(self._reply.write_rest(writer), receive, self._engine_stopped)
        except MessagesError as error:
            body = error_body(error, self._request_id)
            event: ErrorEvent = {"type": "error", "error": body["error"], "request_id": self._request_id}
            await send({"type": "http.response.body", "body": frame(event), "more_body": False})
        finally:
            if pings is not None:
                await cancel(pings)
            await self._reply.close()
            if writer is not None:
                writer.close()

    async def _send_pings(self, writer: EventWriter) -> None:
        loop = asyncio.get_running_loop()
        silence = self._intervals.first
        while True:
            written = writer.written
            await asyncio.sleep(max(written + silence - loop.time(), 0))
            if writer.written > written:
                silence = self._intervals.first
                continue
            writer.write(PING_FRAME)
            silence = self._intervals.following
