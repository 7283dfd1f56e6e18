"""The state machine that turns the deltas of one reply into protocol events.

How it works: `Machine.feed` looks up the pair (state, type of delta) in `TRANSITIONS` and runs the method
it finds, which emits events and may change the state. The table holds every legal pair; any other pair
raises `IllegalDeltaOrderError`. Three rules of the protocol make most of the work:

- One block is open at a time, and indexes run from 0 without gaps. An engine may interleave several tool
  calls and text, so what belongs to a later block is buffered until the open tool call is complete.
- A text block is never empty, and never only whitespace: whitespace is held back until text follows it.
- A thinking block ends with one `signature_delta` over all of its text.

A statement with citations is a text block of its own. It stays open until text or another block follows,
because more citations may come.

The order of events is that of Anthropic's streaming documentation and of `anthropic.lib.streaming`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from vllm_messages_plugin.stream.block_writer import BlockWriter
from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
    CompactionSummary,
    CompleteBlock,
    EngineCitations,
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
    ServerToolUse,
)
from vllm_messages_plugin.stream.reply import ReplyContext, add_rounds, make_usage
from vllm_messages_plugin.stream.reply_events import (
    compaction_block,
    message_delta,
    message_start,
    stop_reason,
    tool_use_block,
)
from vllm_messages_plugin.stream.states import STARTED, State
from vllm_messages_plugin.stream.streamed_call import StreamedCall
from vllm_messages_plugin.wire import events
from vllm_messages_plugin.wire.errors import error_body
from vllm_messages_plugin.wire.events import StreamEvent, TextDeltaType
from vllm_messages_plugin.wire.message import ContentBlock, Usage

Buffered = EngineText | EngineThinking | CitedText | CitedTextEnd | EngineCitations
"""What waits until the open tool call is complete."""


class IllegalDeltaOrderError(RuntimeError):
    """A delta came in a state that allows no such delta: a bug in the engine package."""


class Machine(BlockWriter):
    """Turns the deltas of one reply into protocol events. Feed deltas until `ended` is true.

    Attributes:
        ended: whether the last event was emitted.
    """

    def __init__(self, reply: ReplyContext) -> None:
        super().__init__(reply)
        self.ended = False
        self._sends_thinking = reply.show_thinking and not reply.count_thinking  # as it comes
        self._prompt = PromptProcessed(0, 0)
        self._finishing = False
        self._current_call = -1  # number of the call streamed last
        self._last_call_block = -1  # number of the call that last became a block
        self._calls: dict[int, StreamedCall] = {}
        self._buffered: deque[Buffered] = deque()

    def feed(self, delta: EngineDelta) -> list[StreamEvent]:
        """Return the events that one delta causes.

        Raises:
            IllegalDeltaOrderError: the present state allows no such delta.
        """
        self._apply(delta)
        emitted, self._emitted = self._emitted, []
        return emitted

    def continue_block(self, delta: EngineDelta) -> tuple[int, TextDeltaType, str] | None:
        """Add a delta to the open block, if the only event it causes is a delta with its text.

        Nearly every token passes here, so no event is made of it.

        Returns:
            The index of the block, the type of the event's delta, and its text. None, with nothing done, for
            any other delta: it is one for `feed`.
        """
        if type(delta) is EngineText:
            if self._state is State.TEXT and delta.text and not self._block_complete:
                return self._index, "text_delta", delta.text
        elif type(delta) is EngineToolCall:
            if self._continues_call(delta):
                self._calls[delta.call].pass_on(delta.arguments)
                return self._index, "input_json_delta", delta.arguments
        elif type(delta) is EngineThinking and self._continues_thinking(delta):
            self._thinking_text.append(delta.text)
            return self._index, "thinking_delta", delta.text
        return None

    def _continues_thinking(self, delta: EngineThinking) -> bool:
        """Whether a delta adds to thinking that is sent as it comes."""
        return self._state is State.THINKING and self._sends_thinking and bool(delta.text)

    def _continues_call(self, delta: EngineToolCall) -> bool:
        """Whether a delta adds arguments to the open call that can't complete it."""
        if self._state is not State.TOOL_USE or delta.call != self._current_call:
            return False
        call = self._calls[delta.call]
        return call.is_continued_by(delta) and call.name not in self._reply.members

    def _apply(self, delta: EngineDelta) -> None:
        transition = TRANSITIONS.get((self._state, type(delta)))
        if transition is None:
            raise IllegalDeltaOrderError(f"{type(delta).__name__} in state {self._state.name}")
        transition(self, delta)

    # Transitions: the values of the table below.

    def _start(self, delta: PromptProcessed) -> None:
        self._prompt = delta
        self._state = State.BETWEEN
        self._emitted.append(message_start(self._reply, make_usage(delta, 0, None, self._reply.breakpoints)))

    def _open_text(self, delta: EngineText) -> None:
        if not delta.text.strip():
            self._pending_whitespace.append(delta.text)
            return
        text = self._first_text(delta.text)
        self._close()
        self._open({"type": "text", "text": ""}, State.TEXT)
        self._continue_text(EngineText(text))

    def _first_text(self, text: str) -> str:
        """The text that a block begins with.

        Blank lines at the start come from the template. Indentation is the model's, and so is white space
        between two blocks of text.
        """
        text = "".join((*self._pending_whitespace, text))
        if self._state is State.TEXT or (self._reply.continues and self._index < 0):
            return text
        blank = len(text) - len(text.lstrip())
        return text[text.rfind("\n", 0, blank) + 1 :]

    def _continue_text(self, delta: EngineText) -> None:
        if self._block_complete:
            self._open_text(delta)
        elif delta.text:
            self._delta({"type": "text_delta", "text": delta.text})

    def _open_cited_text(self, delta: CitedText) -> None:
        text = self._first_text(delta.text)
        self._close()
        self._open({"type": "text", "text": "", "citations": []}, State.TEXT)
        for citation in delta.citations:
            self._delta({"type": "citations_delta", "citation": dict(citation)})
        self._continue_text(EngineText(text))

    def _end_cited_text(self, _delta: CitedTextEnd) -> None:
        self._block_complete = True

    def _add_citations(self, delta: EngineCitations) -> None:
        for citation in delta.citations:
            self._delta({"type": "citations_delta", "citation": dict(citation)})
        self._block_complete = True

    def _skip(self, _delta: CitedTextEnd | EngineCitations) -> None:
        """There is no text that the delta could belong to."""

    def _open_thinking(self, delta: EngineThinking) -> None:
        if not delta.text.strip():
            return
        self._close()
        self._open({"type": "thinking", "thinking": "", "signature": ""}, State.THINKING)
        self._continue_thinking(EngineThinking(delta.text.lstrip("\n"), delta.tokens))

    def _continue_thinking(self, delta: EngineThinking) -> None:
        if delta.text:
            self._thinking_text.append(delta.text)
            shown = delta.text if self._reply.show_thinking else ""
            if self._reply.count_thinking:
                tokens = delta.tokens
                self._delta({"type": "thinking_delta", "thinking": shown, "estimated_tokens": tokens})
            elif shown:
                self._delta({"type": "thinking_delta", "thinking": shown})

    def _add_to_call(self, delta: EngineToolCall) -> None:
        call = self._calls.get(delta.call)
        if call is None:
            call = self._calls[delta.call] = StreamedCall()
        call.add(delta)
        if self._state is State.TOOL_USE:
            self._continue_call()
        else:
            self._open_next_call()

    def _buffer(self, delta: Buffered) -> None:
        self._buffered.append(delta)
        self._continue_call()

    def _send_server_tool_use(self, delta: ServerToolUse) -> None:
        block = cast(ContentBlock, dict(delta.block))
        self._send_block(block, {"type": "input_json_delta", "partial_json": delta.input_json})

    def _send_complete_block(self, delta: CompleteBlock) -> None:
        self._send_block(cast(ContentBlock, dict(delta.block)), None)

    def _send_compaction(self, delta: CompactionSummary) -> None:
        self._send_block(*compaction_block(delta))

    def _finish(self, delta: ReplyFinished) -> None:
        if delta.reason == "stop" and any(call.incomplete for call in self._calls.values()):
            delta = replace(delta, reason="incomplete_call")
        if delta.reason == "incomplete_call":
            self._close_open_strings()
        self._flush_all()
        self._end()
        reason = stop_reason(delta, self._calls.get(self._last_call_block))
        self._emitted.append(
            message_delta(self._reply, self._final_usage(delta), reason, delta.stop_sequence)
        )
        self._emitted.append({"type": "message_stop"})

    def _fail(self, delta: ReplyFailed) -> None:
        self._close()
        self._end()
        body = error_body(delta.error, self._reply.request_id)
        self._emitted.append({"type": "error", "error": body["error"], "request_id": body["request_id"]})

    # Steps that several transitions share.

    def _send_block(self, block: ContentBlock, delta: events.ContentBlockDelta | None) -> None:
        """Send a block at once: its start, at most one delta, and its end."""
        self._flush_all()
        self._open(block, State.BETWEEN)
        if delta is not None:
            self._delta(delta)
        self._emitted.append({"type": "content_block_stop", "index": self._index})

    def _end(self) -> None:
        self._state, self.ended = State.ENDED, True

    def _final_usage(self, end: ReplyFinished) -> Usage:
        covered = self._reply.breakpoints
        usage = make_usage(self._prompt, end.output_tokens, end.thinking_tokens, covered)
        return add_rounds(usage, end.rounds, end.server_tool_use, covered)

    def _open_next_call(self) -> None:
        """Open the next call in the order in which the model started them, once its name is known."""
        following = self._calls.get(self._current_call + 1)
        if following is None or following.name is None:
            return
        self._close()
        self._current_call += 1
        self._last_call_block = self._current_call
        self._open(tool_use_block(self._reply, following.name), State.TOOL_USE)
        self._delta({"type": "input_json_delta", "partial_json": ""})
        self._continue_call()

    def _continue_call(self) -> None:
        """Emit new arguments of the open call and, once it is complete, what was buffered behind it."""
        call = self._calls[self._current_call]
        if call.name in self._reply.members and not (call.progress.complete or self._finishing):
            return
        if text := call.take_pending():
            self._delta({"type": "input_json_delta", "partial_json": text})
        if not call.progress.complete:
            return
        if self._current_call + 1 in self._calls:
            self._open_next_call()
        elif self._buffered:
            self._emit_buffered()

    def _emit_buffered(self) -> None:
        self._close()
        while self._buffered:
            self._apply(self._buffered.popleft())

    def _flush_all(self) -> None:
        """Close the open block and emit everything that is still buffered."""
        self._finishing = True
        if self._state is State.TOOL_USE:
            self._continue_call()
        self._close()
        while (following := self._calls.get(self._current_call + 1)) is not None:
            if following.name is None:  # without a name it can't be a call, so its arguments become text
                self._current_call += 1
                if text := following.take_pending():
                    self._buffered.append(EngineText(text))
            else:
                self._open_next_call()
                self._close()
        self._emit_buffered()
        self._close()
        self._finishing = False

    def _close_open_strings(self) -> None:
        """Close a JSON string left open by a model that stopped on its own; SDKs would drop that argument."""
        for call in self._calls.values():
            if call.started and not call.progress.complete and (closing := call.closing_text()):
                call.add(EngineToolCall(0, arguments=closing))


TRANSITIONS: Final[Mapping[tuple[State, type], Callable[[Machine, Any], None]]] = {
    (State.BEFORE, PromptProcessed): Machine._start,
    (State.BETWEEN, EngineText): Machine._open_text,
    (State.BETWEEN, CitedText): Machine._open_cited_text,
    (State.TEXT, CitedText): Machine._open_cited_text,
    (State.THINKING, CitedText): Machine._open_cited_text,
    (State.TOOL_USE, CitedText): Machine._buffer,
    (State.BETWEEN, CitedTextEnd): Machine._skip,
    (State.TEXT, CitedTextEnd): Machine._end_cited_text,
    (State.THINKING, CitedTextEnd): Machine._skip,
    (State.TOOL_USE, CitedTextEnd): Machine._buffer,
    (State.BETWEEN, EngineCitations): Machine._skip,
    (State.TEXT, EngineCitations): Machine._add_citations,
    (State.THINKING, EngineCitations): Machine._skip,
    (State.TOOL_USE, EngineCitations): Machine._buffer,
    (State.BETWEEN, EngineThinking): Machine._open_thinking,
    (State.BETWEEN, EngineToolCall): Machine._add_to_call,
    (State.TEXT, EngineText): Machine._continue_text,
    (State.TEXT, EngineThinking): Machine._open_thinking,
    (State.TEXT, EngineToolCall): Machine._add_to_call,
    (State.THINKING, EngineText): Machine._open_text,
    (State.THINKING, EngineThinking): Machine._continue_thinking,
    (State.THINKING, EngineToolCall): Machine._add_to_call,
    (State.TOOL_USE, EngineText): Machine._buffer,
    (State.TOOL_USE, EngineThinking): Machine._buffer,
    (State.TOOL_USE, EngineToolCall): Machine._add_to_call,
    (State.BEFORE, ReplyFailed): Machine._fail,
    **{(state, ServerToolUse): Machine._send_server_tool_use for state in STARTED},
    **{(state, CompleteBlock): Machine._send_complete_block for state in STARTED},
    **{(state, CompactionSummary): Machine._send_compaction for state in STARTED},
    **{(state, ReplyFinished): Machine._finish for state in STARTED},
    **{(state, ReplyFailed): Machine._fail for state in STARTED},
}
"""Every legal pair of state and delta. A pair that is not here raises `IllegalDeltaOrderError`."""
