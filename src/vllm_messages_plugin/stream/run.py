"""Runs the machine over a reply's deltas.

Called by `http.messages`, for a streamed reply and for one that is collected.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator

from vllm_messages_plugin.stream.deltas import EngineDelta, ReplyFailed
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.events import Event

log = logging.getLogger("vllm.messages")


async def events(reply: ReplyContext, deltas: AsyncIterator[EngineDelta]) -> AsyncIterator[list[Event]]:
    """The events of a reply, those of one delta together. Ends with `message_stop` or `error`."""
    machine = Machine(reply)
    try:
        async for delta in deltas:
            if found := list(machine.feed(delta)):
                yield found
            if machine.ended:
                return
        failure = MessagesError("api_error", "The reply broke off")
    except MessagesError as error:
        failure = error
    except Exception:
        log.exception("Reply %s failed", reply.message_id)
        failure = MessagesError("api_error", "Internal server error")
    finally:
        await _closed(deltas)
    yield list(machine.feed(ReplyFailed(failure)))


async def _closed(deltas: AsyncIterator[EngineDelta]) -> None:
    """Close the deltas at once, which is what aborts a reply that nobody reads on."""
    if isinstance(deltas, AsyncGenerator):
        await deltas.aclose()
