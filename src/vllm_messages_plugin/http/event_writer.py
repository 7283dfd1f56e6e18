"""Writes the frames of one event stream, and holds the source back while the client is slow."""

import asyncio
from typing import Any

from starlette.types import Message, Send

from vllm_messages_plugin.http.server_send import Rest, begin, body_writer, server_send
from vllm_messages_plugin.stream.sources import Source


class EventWriter:
    """Writes frames to a response that has been started.

    Frames go straight to the server where that is possible (`server_send`). Else, and while the client does
    not read, they wait for `run`, which sends all that wait at once; meanwhile the source is paused.

    Attributes:
        written: When something was written last, in the event loop's time.
    """

    def __init__(self, send: Send, source: Source[Any]) -> None:
        self._send = send
        self._server_send = server_send(send)
        self._write_piece = body_writer(self._server_send)
        self._source = source
        self._now = asyncio.get_running_loop().time
        self._waiting: list[bytes] = []
        self._begun: Rest | None = None  # a `send` that waits for the client
        self._is_busy = False  # `run` has work
        self._has_work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.written = self._now()

    def write(self, frames: bytes) -> None:
        """Write frames, or leave them to `run`."""
        self.written = self._now()
        if self._server_send is None or self._is_busy:
            self._waiting.append(frames)
        elif self._write_piece is not None and self._write_piece(frames):
            return
        else:
            self._begun = begin(self._server_send(_body(frames)))
            if self._begun is None:
                return
        self._source.pause()
        self._is_busy = True
        self._idle.clear()
        self._has_work.set()

    async def run(self) -> None:
        """Send what waits; never ends."""
        while True:
            await self._has_work.wait()
            if self._begun is not None:
                begun, self._begun = self._begun, None
                await begun
            while self._waiting:
                frames = b"".join(self._waiting)
                self._waiting.clear()
                await self._send(_body(frames))
            self._is_busy = False
            self._has_work.clear()
            self._idle.set()
            self._source.resume()

    async def end(self) -> None:
        """End the response, once nothing waits."""
        await self._idle.wait()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        """Drop a frame that `run` had not taken when it was cancelled. Nothing may be written after this."""
        if self._begun is not None:
            self._begun.close()
            self._begun = None


def _body(frames: bytes) -> Message:
    return {"type": "http.response.body", "body": frames, "more_body": True}
