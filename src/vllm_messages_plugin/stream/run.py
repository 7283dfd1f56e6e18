"""Runs the state machine over the deltas of one reply, and turns failures into an `error` event."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from vllm_messages_plugin.stream.deltas import EngineDelta, ReplyFailed
from vllm_messages_plugin.stream.failure_log import log_api_error
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.errors import MessagesError, internal_error
from vllm_messages_plugin.wire.events import StreamEvent

Encoded = TypeVar("Encoded")


async def stream_events(
    reply: ReplyContext, deltas: AsyncIterator[EngineDelta]
) -> AsyncIterator[list[StreamEvent]]:
    """Yield the events of a reply, as one list for each delta that causes any.

    The last event is `message_stop` or `error`. Closing the iterator closes `deltas`, which aborts the
    request in the engine.
    """
    async for batch in encoded_events(reply, deltas, list):
        yield batch


async def encoded_events(
    reply: ReplyContext,
    deltas: AsyncIterator[EngineDelta],
    encode: Callable[[list[StreamEvent]], Encoded],
) -> AsyncIterator[Encoded]:
    """Yield what `encode` makes of the events of each delta; otherwise like `stream_events`."""
    machine = Machine(reply)
    try:
        async for delta in deltas:
            if type(delta) is ReplyFailed:
                log_api_error(delta.error, reply.request_id)
            if batch := machine.feed(delta):
                yield encode(batch)
                if machine.ended:
                    return
        failure = MessagesError("api_error", "The reply ended unexpectedly")
    except MessagesError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - logged below, and the client gets an error event
        failure = internal_error(error)
    finally:
        await _close(deltas)
    log_api_error(failure, reply.request_id)
    yield encode(machine.feed(ReplyFailed(failure)))


async def _close(deltas: AsyncIterator[EngineDelta]) -> None:
    """Close the deltas now rather than at garbage collection, so that the engine aborts the request."""
    close = getattr(deltas, "aclose", None)
    if close is not None:
        await close()
