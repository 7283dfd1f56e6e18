"""Runs the state machine over the deltas of one reply, and turns failures into an `error` event."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, TypeVar

from vllm_messages_plugin.stream.deltas import EngineDelta, ReplyFailed
from vllm_messages_plugin.stream.failure_log import log_api_error
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.stream.sources import close
from vllm_messages_plugin.wire.errors import MessagesError, internal_error
from vllm_messages_plugin.wire.events import StreamEvent, TextDeltaType

Encoded = TypeVar("Encoded")


class ReplyEncoder(Generic[Encoded]):
    """Encodes the events of a reply. The last event is `message_stop` or `error`.

    Attributes:
        ended: Whether the last event is encoded.
    """

    def __init__(
        self,
        reply: ReplyContext,
        encode: Callable[[list[StreamEvent]], Encoded],
        encode_delta: Callable[[int, TextDeltaType, str], Encoded] | None = None,
    ) -> None:
        """Begin a reply.

        Args:
            reply: What the events of the reply contain.
            encode: Is called with the events that are sent together.
            encode_delta: Is called with the index, the type and the text of a delta that is sent alone; None
                to have `encode` called.
        """
        self.ended = False
        self._encode_delta = encode_delta
        self._machine = Machine(reply)
        self._request_id = reply.request_id
        self._encode = encode

    def feed(self, deltas: Sequence[EngineDelta]) -> Encoded | None:
        """Encode the events that deltas cause; None if they cause none.

        Raises:
            IllegalDeltaOrderError: the deltas are in an illegal order.
        """
        machine = self._machine
        if self._encode_delta is not None and len(deltas) == 1:
            added = machine.continue_block(deltas[0])
            if added is not None:
                return self._encode_delta(*added)
        batch: list[StreamEvent] = []
        for delta in deltas:
            if type(delta) is ReplyFailed:
                log_api_error(delta.error, self._request_id)
            events = machine.feed(delta)
            batch = batch + events if batch else events
            if machine.ended:
                self.ended = True
                break
        return self._encode(batch) if batch else None

    def fail(self, error: Exception | None) -> Encoded:
        """Encode the end of a reply that an error ended, or that ended before its last delta."""
        failure = self.log(error or MessagesError("api_error", "The reply ended unexpectedly"))
        return self._encode(self._machine.feed(ReplyFailed(failure)))

    def log(self, error: Exception) -> MessagesError:
        """Log an error, and return it as the client is told of it."""
        failure = error if isinstance(error, MessagesError) else internal_error(error)
        log_api_error(failure, self._request_id)
        return failure


async def encoded_events(
    reply: ReplyContext,
    deltas: AsyncIterator[EngineDelta],
    encode: Callable[[list[StreamEvent]], Encoded],
) -> AsyncIterator[Encoded]:
    """Yield what `encode` makes of the events of a reply: one list for each delta that causes any.

    The last event is `message_stop` or `error`. Closing the iterator closes `deltas`, which aborts the
    request in the engine.

    Args:
        reply: What the events of the reply contain.
        deltas: The deltas of the engine.
        encode: Is called with each list.
    """
    encoder = ReplyEncoder(reply, encode)
    failure: Exception | None = None
    try:
        async for delta in deltas:
            if (encoded := encoder.feed((delta,))) is not None:
                yield encoded
                if encoder.ended:
                    return
    except Exception as error:  # noqa: BLE001 - logged by `fail`, and the client gets an error event
        failure = error
    finally:
        await close(deltas)
    yield encoder.fail(failure)
