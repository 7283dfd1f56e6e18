"""Writes the events of a reply's blocks, of which one is open at a time; indexes run from 0 without gaps."""

from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.stream.states import State
from vllm_messages_plugin.wire import events
from vllm_messages_plugin.wire.events import StreamEvent
from vllm_messages_plugin.wire.message import ContentBlock


class BlockWriter:
    """The open block of a reply, and the events that nobody has taken yet."""

    def __init__(self, reply: ReplyContext) -> None:
        self._reply = reply
        self._state = State.BEFORE
        self._emitted: list[StreamEvent] = []
        self._index = -1
        self._pending_whitespace: list[str] = []  # opens a block only if text follows
        self._thinking_text: list[str] = []
        self._block_complete = False  # the open text block gets no more text

    def _open(self, block: ContentBlock, state: State) -> None:
        self._index += 1
        self._block_complete = False
        self._pending_whitespace.clear()
        self._state = state
        self._emitted.append({"type": "content_block_start", "index": self._index, "content_block": block})

    def _delta(self, delta: events.ContentBlockDelta) -> None:
        self._emitted.append({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self) -> None:
        if self._state is State.THINKING:
            text = "".join(self._thinking_text)
            self._thinking_text.clear()
            self._delta({"type": "signature_delta", "signature": self._reply.sign(text)})
        if self._state in (State.TEXT, State.THINKING, State.TOOL_USE):
            self._state = State.BETWEEN
            self._emitted.append({"type": "content_block_stop", "index": self._index})
