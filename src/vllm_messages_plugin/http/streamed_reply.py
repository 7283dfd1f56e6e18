"""A reply on its way from the engine to a stream of events.

The engine may refuse a request, and a refusal must be a status. So a reply is started before the response is
(`admitted`), and the frames it makes until then are kept.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, cast

from vllm_messages_plugin.http.event_writer import EventWriter
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.run import ReplyEncoder
from vllm_messages_plugin.stream.sources import Iterated, Source, close


class ReplyObserver(Protocol):
    """Is told about the end of a reply."""

    async def before_last(self) -> None:
        """Called when the reply is complete, before its last frames are written."""
        ...

    async def ended(self) -> None:
        """Called when the reply has ended, however it ended."""
        ...


class StreamedReply:
    """One reply, encoded while the engine writes it."""

    def __init__(
        self,
        deltas: AsyncIterator[EngineDelta],
        encoder: ReplyEncoder[bytes],
        observer: ReplyObserver | None = None,
    ) -> None:
        """Prepare a reply.

        Args:
            deltas: The engine's deltas; a source is asked to deliver them.
            encoder: Makes frames of them.
            observer: Is told about the end of an admitted reply.
        """
        self.source: Source[Sequence[EngineDelta]] = _source_of(deltas)
        self._encoder = encoder
        self._observer = observer
        self._last: bytes | None = None
        self._has_begun = False  # whether the engine has begun the reply
        self._waiter: asyncio.Future[None] | None = None  # of `admitted`
        self._admitted = False
        self._failure: Exception | None = None
        self._kept: list[bytes] = []
        self._write: Callable[[bytes], None] = self._keep
        self._run: asyncio.Task[None] | None = None

    async def admitted(self, seconds: float) -> None:
        """Start the reply and wait for its first delta, at most so many seconds.

        Raises:
            MessagesError: The engine refused the request.
        """
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._run = asyncio.ensure_future(self._deliver())
        self._run.add_done_callback(self._end_waiting)
        timer = loop.call_later(seconds, self._end_waiting)
        try:
            await self._waiter
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            timer.cancel()
        if self._run.done():
            self._run.result()
        self._admitted = True

    def _end_waiting(self, _run: asyncio.Task[None] | None = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def write_first(self, writer: EventWriter) -> None:
        """Write the frames that were kept, and those to come as soon as they are made."""
        self._write = writer.write
        self.source.resume()
        if self._kept:
            writer.write(b"".join(self._kept))

    async def write_rest(self, writer: EventWriter) -> None:
        """Wait for the last frame and end the response; being cancelled aborts the reply."""
        assert self._run is not None
        sending = asyncio.ensure_future(writer.run())
        begun = [sending]
        try:
            await asyncio.wait({self._run, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            self._run.result()
            ending = asyncio.ensure_future(writer.end())
            begun.append(ending)
            await asyncio.wait({ending, sending}, return_when=asyncio.FIRST_COMPLETED)
            (ending if ending.done() else sending).result()
        finally:
            # All at once: a client that has read everything disconnects, which cancels this task as it waits.
            for task in begun:
                task.cancel()
            await self.close()
            await asyncio.gather(*begun, return_exceptions=True)

    async def close(self) -> None:
        """Abort the reply unless it has ended."""
        if self._run is not None:
            await cancel(self._run)

    def _keep(self, frames: bytes) -> None:
        """Keep frames until the response has begun; there is no more to keep than these."""
        self._kept.append(frames)
        self.source.pause()

    async def _deliver(self) -> None:
        try:
            await self._deliver_all()
        except Exception as error:
            if not self._has_begun and not self._admitted:
                raise
            self._write(self._last_after(error))
        finally:
            if self._observer is not None and (self._admitted or self._has_begun):
                await self._observer.ended()

    def _last_after(self, error: Exception) -> bytes:
        """The last frames of a reply that failed; one that was complete before ends as if nothing had."""
        if self._last is None:
            return self._encoder.fail(error)
        self._encoder.log(error)
        return self._last

    async def _deliver_all(self) -> None:
        await self.source.deliver(self._take)
        if self._last is None:
            self._write(self._encoder.fail(self._failure))
            return
        if self._observer is not None:
            await self._observer.before_last()
        self._write(self._last)

    def _take(self, deltas: Sequence[EngineDelta]) -> bool:
        """Encode and write deltas; a failure here is not the engine's."""
        try:
            frames = self._encoder.feed(deltas)
        except Exception as error:  # noqa: BLE001 - `_deliver` ends the reply with it
            self._failure = error
            return False
        if not self._has_begun:
            self._has_begun = True
            self._end_waiting()
        if self._encoder.ended:
            self._last = frames
            return False
        if frames is not None:
            self._write(frames)
        return True


def _source_of(deltas: AsyncIterator[EngineDelta]) -> Source[Sequence[EngineDelta]]:
    return (
        cast(Source[Sequence[EngineDelta]], deltas)
        if hasattr(deltas, "deliver")
        else Iterated(_singly(deltas))
    )


async def _singly(deltas: AsyncIterator[EngineDelta]) -> AsyncIterator[Sequence[EngineDelta]]:
    """Each delta alone in a sequence."""
    try:
        async for delta in deltas:
            yield (delta,)
    finally:
        await close(deltas)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
