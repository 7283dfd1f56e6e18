"""Runs the state machine over the deltas of one reply, and turns failures into an `error` event."""

from collections.abc import AsyncGenerator, AsyncIterator

from vllm_messages_plugin.stream.deltas import EngineDelta, ReplyFailed
from vllm_messages_plugin.stream.failure_log import log_api_error
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.errors import MessagesError, internal_error
from vllm_messages_plugin.wire.events import StreamEvent


async def stream_events(
    reply: ReplyContext, deltas: AsyncIterator[EngineDelta]
) -> AsyncIterator[list[StreamEvent]]:
    """Yield the events of a reply, as one list for each delta that causes any.

    The last event is `message_stop` or `error`. Closing the iterator closes `deltas`, which aborts the
    request in the engine.
    """
    machine = Machine(reply)
    try:
        async for delta in deltas:
            if isinstance(delta, ReplyFailed):
                log_api_error(delta.error, reply.request_id)
            if batch := list(machine.feed(delta)):
                yield batch
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
    yield list(machine.feed(ReplyFailed(failure)))


async def _close(deltas: AsyncIterator[EngineDelta]) -> None:
    """Close the deltas now rather than at garbage collection, so that the engine aborts the request."""
    if isinstance(deltas, AsyncGenerator):
        await deltas.aclose()
