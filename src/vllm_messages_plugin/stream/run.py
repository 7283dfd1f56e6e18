"""Runs the state machine over the deltas of one reply, and turns failures into an `error` event."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator

from vllm_messages_plugin.stream.deltas import EngineDelta, ReplyFailed
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import StreamEvent

log = logging.getLogger("vllm.messages")


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
            if batch := list(machine.feed(delta)):
                yield batch
            if machine.ended:
                return
        failure = MessagesError("api_error", "The reply ended unexpectedly")
    except MessagesError as error:
        failure = error
    except Exception:
        log.exception("Reply %s failed", reply.message_id)
        failure = MessagesError("api_error", "Internal server error")
    finally:
        await _close(deltas)
    yield list(machine.feed(ReplyFailed(failure)))


async def _close(deltas: AsyncIterator[EngineDelta]) -> None:
    """Close the deltas now rather than at garbage collection, so that the engine aborts the request."""
    if isinstance(deltas, AsyncGenerator):
        await deltas.aclose()
