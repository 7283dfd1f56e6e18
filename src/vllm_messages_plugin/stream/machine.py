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

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import IntEnum, auto
from typing import Any, Final, cast

from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
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
from vllm_messages_plugin.stream.json_progress import JsonProgress
from vllm_messages_plugin.stream.reply import ReplyContext, add_rounds, make_usage
from vllm_messages_plugin.wire import events
from vllm_messages_plugin.wire.errors import error_body
from vllm_messages_plugin.wire.events import StreamEvent
from vllm_messages_plugin.wire.message import (
    ContentBlock,
    Message,
    RefusalStopDetails,
    StopReason,
    ToolUseBlock,
    Usage,
)


class State(IntEnum):  # integers hash faster than other enums, and each delta looks its state up
    BEFORE = auto()  # message_start not sent yet
    BETWEEN = auto()  # message_start sent, no block open
    TEXT = auto()
    THINKING = auto()
    TOOL_USE = auto()
    ENDED = auto()


Buffered = EngineText | EngineThinking | CitedText | CitedTextEnd | EngineCitations
"""What waits until the open tool call is complete."""


class IllegalDeltaOrderError(RuntimeError):
    """A delta came in a state that allows no such delta: a bug in the engine package."""


class _StreamedCall:
    """A tool call while its arguments arrive."""

    __slots__ = ("name", "pending", "progress", "sent", "started")

    def __init__(self) -> None:
        self.started = False
        self.name: str | None = None
        self.progress = JsonProgress()
        self.pending: list[str] = []
        self.sent: list[str] = []

    def add(self, piece: EngineToolCall) -> None:
        self.name = self.name or piece.name
        # SDKs fail on JSON text that is only whitespace, so leading whitespace is dropped.
        arguments = piece.arguments if self.started else piece.arguments.lstrip()
        if arguments:
            self.started = True
            self.pending.append(arguments)
            self.progress.feed(arguments)

    def take_pending(self) -> str:
        text = "".join(self.pending)
        self.pending.clear()
        self.sent.append(text)
        return text

    def closing_text(self) -> str:
        """Text that completes arguments which end inside a string; empty if no text can."""
        closing = self.progress.closing_text()
        try:
            json.loads("".join((*self.sent, *self.pending, closing)), strict=False)
        except ValueError:
            return ""
        return closing


class Machine:
    """Turns the deltas of one reply into protocol events. Feed deltas until `ended` is true."""

    def __init__(self, reply: ReplyContext) -> None:
        self._reply = reply
        self._state = State.BEFORE
        self._emitted: list[StreamEvent] = []
        self._index = -1
        self._prompt = PromptProcessed(0, 0)
        self._finishing = False
        self._pending_whitespace: list[str] = []  # opens a block only if text follows
        self._thinking_text: list[str] = []
        self._current_call = -1  # number of the call streamed last
        self._last_call_block = -1  # number of the call that last became a block
        self._calls: dict[int, _StreamedCall] = {}
        self._buffered: deque[Buffered] = deque()
        self._block_complete = False  # the open text block gets no more text

    @property
    def ended(self) -> bool:
        return self._state is State.ENDED

    def feed(self, delta: EngineDelta) -> list[StreamEvent]:
        """Return the events that one delta causes.

        Raises:
            IllegalDeltaOrderError: the present state allows no such delta.
        """
        self._apply(delta)
        emitted, self._emitted = self._emitted, []
        return emitted

    def _apply(self, delta: EngineDelta) -> None:
        transition = TRANSITIONS.get((self._state, type(delta)))
        if transition is None:
            raise IllegalDeltaOrderError(f"{type(delta).__name__} in state {self._state.name}")
        transition(self, delta)

    # Transitions: the values of the table below.

    def _start(self, delta: PromptProcessed) -> None:
        self._prompt = delta
        self._state = State.BETWEEN
        message: Message = {
            "id": self._reply.message_id,
            "type": "message",
            "role": "assistant",
            "model": self._reply.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "diagnostics": self._diagnostics(),
            "usage": self._usage(0),
        }
        self._emitted.append({"type": "message_start", "message": message})

    def _open_text(self, delta: EngineText) -> None:
        if self._holds_back(delta.text):
            self._pending_whitespace.append(delta.text)
            return
        text = self._first_text(delta.text)
        self._close()
        self._open({"type": "text", "text": ""}, State.TEXT)
        self._continue_text(EngineText(text))

    def _holds_back(self, text: str) -> bool:
        """Whether a text is not enough to open a block."""
        prefilled = self._reply.continues and self._index < 0
        return not text or (text.isspace() and not prefilled)

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
            call = self._calls[delta.call] = _StreamedCall()
        call.add(delta)
        if self._state is State.TOOL_USE:
            self._continue_call()
        else:
            self._open_next_call()

    def _buffer(self, delta: Buffered) -> None:
        self._buffered.append(delta)
        self._continue_call()

    def _send_server_tool_use(self, delta: ServerToolUse) -> None:
        self._flush_all()
        self._open(cast(ContentBlock, dict(delta.block)), State.BETWEEN)
        self._delta({"type": "input_json_delta", "partial_json": delta.input_json})
        self._emitted.append({"type": "content_block_stop", "index": self._index})

    def _send_complete_block(self, delta: CompleteBlock) -> None:
        self._flush_all()
        self._open(cast(ContentBlock, dict(delta.block)), State.BETWEEN)
        self._emitted.append({"type": "content_block_stop", "index": self._index})

    def _finish(self, delta: ReplyFinished) -> None:
        if delta.reason == "stop" and self._has_incomplete_call():
            delta = replace(delta, reason="incomplete_call")
        if delta.reason == "incomplete_call":
            self._close_open_strings()
        self._flush_all()
        reason = self._stop_reason(delta)
        self._state = State.ENDED
        refusal: RefusalStopDetails = {"type": "refusal", "category": None, "explanation": None}
        end: events.MessageDeltaEvent = {
            "type": "message_delta",
            "delta": {
                "stop_reason": reason,
                "stop_sequence": delta.stop_sequence if reason == "stop_sequence" else None,
                "stop_details": refusal if reason == "refusal" else None,
                "container": None,
            },
            "usage": self._final_usage(delta),
        }
        if self._reply.applied_edits is not None:
            end["context_management"] = {"applied_edits": [dict(edit) for edit in self._reply.applied_edits]}
        self._emitted.append(end)
        self._emitted.append({"type": "message_stop"})

    def _fail(self, delta: ReplyFailed) -> None:
        self._close()
        self._state = State.ENDED
        body = error_body(delta.error, self._reply.request_id)
        self._emitted.append({"type": "error", "error": body["error"], "request_id": body["request_id"]})

    # Steps that several transitions share.

    def _diagnostics(self) -> dict[str, Any] | None:
        return None if self._reply.diagnostics is None else dict(self._reply.diagnostics)

    def _usage(self, output_tokens: int, thinking_tokens: int | None = None) -> Usage:
        return make_usage(self._prompt, output_tokens, thinking_tokens, self._reply.breakpoints)

    def _final_usage(self, end: ReplyFinished) -> Usage:
        usage = self._usage(end.output_tokens, end.thinking_tokens)
        return add_rounds(usage, end.rounds, end.server_tool_use, self._reply.breakpoints)

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

    def _open_next_call(self) -> None:
        """Open the next call in the order in which the model started them, once its name is known."""
        following = self._calls.get(self._current_call + 1)
        if following is None or following.name is None:
            return
        self._close()
        self._current_call += 1
        self._last_call_block = self._current_call
        self._open(self._tool_use(following.name), State.TOOL_USE)
        self._delta({"type": "input_json_delta", "partial_json": ""})
        self._continue_call()

    def _tool_use(self, name: str) -> ToolUseBlock:
        block: ToolUseBlock = {
            "type": "tool_use",
            "id": self._reply.new_tool_id(),
            "name": name,
            "input": {},
            "caller": {"type": "direct"},
        }
        if name in self._reply.members:
            block["name"], block["toolset_name"] = self._reply.members[name]
        return block

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

    def _has_incomplete_call(self) -> bool:
        """Whether the arguments of a named call have begun and are not complete."""
        return any(call.name and call.started and not call.progress.complete for call in self._calls.values())

    def _close_open_strings(self) -> None:
        """Close a JSON string left open by a model that stopped on its own; SDKs would drop that argument."""
        for call in self._calls.values():
            if call.started and not call.progress.complete and (closing := call.closing_text()):
                call.add(EngineToolCall(0, arguments=closing))

    def _stop_reason(self, end: ReplyFinished) -> StopReason:
        if end.reason in ("length", "incomplete_call"):
            return "max_tokens"  # of Anthropic's reasons the one whose last tool call clients take for cut
        if end.reason == "window":
            return "model_context_window_exceeded"
        if end.reason == "refusal":
            return "refusal"
        if end.reason == "pause":
            return "pause_turn"
        if end.reason == "compaction":
            return "compaction"
        last = self._calls.get(self._last_call_block)
        if end.reason == "stop_sequence" and not (last is not None and last.progress.complete):
            return "stop_sequence"
        return "tool_use" if last is not None else "end_turn"


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
    (State.BETWEEN, ServerToolUse): Machine._send_server_tool_use,
    (State.TEXT, ServerToolUse): Machine._send_server_tool_use,
    (State.THINKING, ServerToolUse): Machine._send_server_tool_use,
    (State.TOOL_USE, ServerToolUse): Machine._send_server_tool_use,
    (State.BETWEEN, CompleteBlock): Machine._send_complete_block,
    (State.TEXT, CompleteBlock): Machine._send_complete_block,
    (State.THINKING, CompleteBlock): Machine._send_complete_block,
    (State.TOOL_USE, CompleteBlock): Machine._send_complete_block,
    (State.BETWEEN, ReplyFinished): Machine._finish,
    (State.TEXT, ReplyFinished): Machine._finish,
    (State.THINKING, ReplyFinished): Machine._finish,
    (State.TOOL_USE, ReplyFinished): Machine._finish,
    (State.BEFORE, ReplyFailed): Machine._fail,
    (State.BETWEEN, ReplyFailed): Machine._fail,
    (State.TEXT, ReplyFailed): Machine._fail,
    (State.THINKING, ReplyFailed): Machine._fail,
    (State.TOOL_USE, ReplyFailed): Machine._fail,
}
"""Every legal pair of state and delta. A pair that is not here raises `IllegalDeltaOrderError`."""
