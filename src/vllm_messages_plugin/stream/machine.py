"""The one state machine: deltas in, events out. Every transition stands in `TRANSITIONS`.

Fed by `http.messages`, its events are written by `wire.sse` or folded by `stream.collect`. One block
is open at a time, indexes run from 0 without gaps. The grammar is that of Anthropic's streaming
documentation and of `anthropic.lib.streaming`.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import Any, Final

from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.stream.json_progress import JsonProgress
from vllm_messages_plugin.stream.reply import ReplyContext, usage_of
from vllm_messages_plugin.wire import events
from vllm_messages_plugin.wire.errors import error_body
from vllm_messages_plugin.wire.message import ContentBlock, Message, StopReason, ToolUseBlock, Usage


class State(Enum):
    BEFORE = auto()  # nothing said yet
    BETWEEN = auto()  # message_start sent, no block open
    TEXT = auto()
    THINKING = auto()
    TOOL_USE = auto()
    ENDED = auto()


class IllegalOrderError(RuntimeError):
    """The engine side broke the order of deltas."""


class _Call:
    """A tool call under way."""

    __slots__ = ("begun", "name", "progress", "said", "waiting")

    def __init__(self) -> None:
        self.begun = False
        self.name: str | None = None
        self.progress = JsonProgress()
        self.waiting: list[str] = []
        self.said: list[str] = []

    def take(self, piece: EngineToolCall) -> None:
        self.name = self.name or piece.name
        arguments = piece.arguments if self.begun else piece.arguments.lstrip()  # no SDK reads blank JSON
        if arguments:
            self.begun = True
            self.waiting.append(arguments)
            self.progress.feed(arguments)

    def release(self) -> str:
        text = "".join(self.waiting)
        self.waiting.clear()
        self.said.append(text)
        return text

    def ending(self) -> str:
        """What makes arguments whole whose last string the model left open, if that makes them whole."""
        ending = self.progress.ending()
        try:
            json.loads("".join((*self.said, *self.waiting, ending)), strict=False)
        except ValueError:
            return ""
        return ending


class Machine:
    """Turns the deltas of one reply into its events. Feed it until `ended`."""

    def __init__(self, reply: ReplyContext) -> None:
        self._reply = reply
        self._state = State.BEFORE
        self._index = -1
        self._prompt = PromptProcessed(0, 0)
        self._finishing = False
        self._blanks: list[str] = []  # white space that opens a block only if more follows
        self._thought: list[str] = []
        self._open_call = -1  # the call streamed last
        self._made_call = -1  # the call that last became a block
        self._calls: dict[int, _Call] = {}
        self._held: deque[EngineText | EngineThinking] = deque()  # said while a call is still open

    @property
    def ended(self) -> bool:
        return self._state is State.ENDED

    def feed(self, delta: EngineDelta) -> Iterator[events.Event]:
        """The events that follow from one delta.

        Raises:
            IllegalOrderError: the delta has no place in the present state.
        """
        step = TRANSITIONS.get((self._state, type(delta)))
        if step is None:
            raise IllegalOrderError(f"{type(delta).__name__} in state {self._state.name}")
        return step(self, delta)

    # Transitions. Each is one entry, or several, of the table below.

    def _start(self, delta: PromptProcessed) -> Iterator[events.Event]:
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
            "usage": self._usage(0),
        }
        if self._reply.diagnostics is not None:
            message["diagnostics"] = dict(self._reply.diagnostics)
        yield {"type": "message_start", "message": message}

    def _open_text(self, delta: EngineText) -> Iterator[events.Event]:
        prefilled = self._reply.continues and self._index < 0
        if not delta.text or (delta.text.isspace() and not prefilled):
            self._blanks.append(delta.text)
            return
        text = "".join((*self._blanks, delta.text))
        if not prefilled:  # blank lines at the head of a block are the template's, an indentation is not
            blank = len(text) - len(text.lstrip())
            text = text[text.rfind("\n", 0, blank) + 1 :]
        yield from self._close()
        yield self._open({"type": "text", "text": ""}, State.TEXT)
        yield from self._more_text(EngineText(text))

    def _more_text(self, delta: EngineText) -> Iterator[events.Event]:
        if delta.text:
            yield self._delta({"type": "text_delta", "text": delta.text})

    def _open_thinking(self, delta: EngineThinking) -> Iterator[events.Event]:
        if not delta.text.strip():
            return
        yield from self._close()
        yield self._open({"type": "thinking", "thinking": "", "signature": ""}, State.THINKING)
        yield from self._more_thinking(EngineThinking(delta.text.lstrip("\n"), delta.tokens))

    def _more_thinking(self, delta: EngineThinking) -> Iterator[events.Event]:
        if delta.text:
            self._thought.append(delta.text)
            shown = delta.text if self._reply.show_thinking else ""
            if self._reply.count_thinking:
                tokens = delta.tokens
                yield self._delta({"type": "thinking_delta", "thinking": shown, "estimated_tokens": tokens})
            elif shown:
                yield self._delta({"type": "thinking_delta", "thinking": shown})

    def _call(self, delta: EngineToolCall) -> Iterator[events.Event]:
        self._calls.setdefault(delta.call, _Call()).take(delta)
        if self._state is State.TOOL_USE:
            yield from self._more_call()
        else:
            yield from self._next_call()

    def _hold(self, delta: EngineText | EngineThinking) -> Iterator[events.Event]:
        self._held.append(delta)
        yield from self._more_call()

    def _finish(self, delta: ReplyFinished) -> Iterator[events.Event]:
        if delta.reason == "stop":
            self._end_open_strings()
        yield from self._flush()
        reason = self._stop_reason(delta)
        self._state = State.ENDED
        end: events.MessageDelta = {
            "type": "message_delta",
            "delta": {
                "stop_reason": reason,
                "stop_sequence": delta.stop_sequence if reason == "stop_sequence" else None,
                "stop_details": {"type": "refusal", "category": None, "explanation": None}
                if reason == "refusal"
                else None,
            },
            "usage": self._usage(delta.output_tokens, delta.thinking_tokens),
        }
        if self._reply.applied_edits is not None:
            end["context_management"] = {"applied_edits": [dict(edit) for edit in self._reply.applied_edits]}
        yield end
        yield {"type": "message_stop"}

    def _fail(self, delta: ReplyFailed) -> Iterator[events.Event]:
        yield from self._close()
        self._state = State.ENDED
        body = error_body(delta.error, self._reply.request_id)
        yield {"type": "error", "error": body["error"], "request_id": body["request_id"]}

    # Steps that several transitions share.

    def _usage(self, output_tokens: int, thinking_tokens: int | None = None) -> Usage:
        return usage_of(self._prompt, output_tokens, thinking_tokens, self._reply.marks)

    def _open(self, block: ContentBlock, state: State) -> events.Event:
        self._index += 1
        self._blanks.clear()
        self._state = state
        return {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: events.Delta) -> events.Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _close(self) -> Iterator[events.Event]:
        if self._state is State.THINKING:
            thought = "".join(self._thought)
            self._thought.clear()
            yield self._delta({"type": "signature_delta", "signature": self._reply.sign(thought)})
        if self._state in (State.TEXT, State.THINKING, State.TOOL_USE):
            self._state = State.BETWEEN
            yield {"type": "content_block_stop", "index": self._index}

    def _next_call(self) -> Iterator[events.Event]:
        """Open the next call, if its name is known: calls stand in the order they were begun."""
        following = self._calls.get(self._open_call + 1)
        if following is None or following.name is None:
            return
        yield from self._close()
        self._open_call += 1
        self._made_call = self._open_call
        yield self._open(self._tool_use(following.name), State.TOOL_USE)
        yield self._delta({"type": "input_json_delta", "partial_json": ""})
        yield from self._more_call()

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

    def _more_call(self) -> Iterator[events.Event]:
        """Stream the open call on; when it is complete, what waited behind it follows."""
        call = self._calls[self._open_call]
        if call.name in self._reply.members and not (call.progress.complete or self._finishing):
            return
        if text := call.release():
            yield self._delta({"type": "input_json_delta", "partial_json": text})
        if not call.progress.complete:
            return
        if self._open_call + 1 in self._calls:
            yield from self._next_call()
        elif self._held:
            yield from self._release_held()

    def _release_held(self) -> Iterator[events.Event]:
        yield from self._close()
        while self._held:
            yield from self.feed(self._held.popleft())

    def _flush(self) -> Iterator[events.Event]:
        """Close what is open and say what was still held back."""
        self._finishing = True
        if self._state is State.TOOL_USE:
            yield from self._more_call()
        yield from self._close()
        while (following := self._calls.get(self._open_call + 1)) is not None:
            if following.name is None:  # no call can be made of it: its text is not lost
                self._open_call += 1
                if text := following.release():
                    self._held.append(EngineText(text))
            else:
                yield from self._next_call()
                yield from self._close()
        yield from self._release_held()
        yield from self._close()

    def _end_open_strings(self) -> None:
        """A model that ended by itself inside a call's string: clients would drop that string unseen."""
        for call in self._calls.values():
            if call.begun and not call.progress.complete and (ending := call.ending()):
                call.take(EngineToolCall(0, arguments=ending))

    def _stop_reason(self, end: ReplyFinished) -> StopReason:
        if end.reason == "length":
            return "max_tokens"
        if end.reason == "window":
            return "model_context_window_exceeded"
        if end.reason == "refusal":
            return "refusal"
        made = self._calls.get(self._made_call)
        if end.reason == "stop_sequence" and not (made is not None and made.progress.complete):
            return "stop_sequence"
        return "tool_use" if made is not None else "end_turn"


TRANSITIONS: Final[Mapping[tuple[State, type], Callable[[Machine, Any], Iterator[events.Event]]]] = {
    (State.BEFORE, PromptProcessed): Machine._start,
    (State.BETWEEN, EngineText): Machine._open_text,
    (State.BETWEEN, EngineThinking): Machine._open_thinking,
    (State.BETWEEN, EngineToolCall): Machine._call,
    (State.TEXT, EngineText): Machine._more_text,
    (State.TEXT, EngineThinking): Machine._open_thinking,
    (State.TEXT, EngineToolCall): Machine._call,
    (State.THINKING, EngineText): Machine._open_text,
    (State.THINKING, EngineThinking): Machine._more_thinking,
    (State.THINKING, EngineToolCall): Machine._call,
    (State.TOOL_USE, EngineText): Machine._hold,
    (State.TOOL_USE, EngineThinking): Machine._hold,
    (State.TOOL_USE, EngineToolCall): Machine._call,
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
"""Every legal step. A pair that is not here raises `IllegalOrderError`."""
