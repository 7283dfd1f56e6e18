"""Parses the output of one reply into deltas: thinking, text and tool calls.

There are three parsers behind one protocol. `ScannerOutputParser` runs this plugin's scanner, where the
model's tool-call format is known: linear in the reply's length, and a call is neither lost nor completed
where the model did not complete it. `VllmOutputParser` runs vLLM's unified Parser. `PlainOutputParser`
returns the text as it is.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vllm_messages_plugin.engine.output.reasoning_start import ReasoningStartDetector
from vllm_messages_plugin.engine.output.vllm_calls import VllmCalls
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Piece, Scanner, TextPiece, ThinkingPiece
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineThinking, EngineToolCall
from vllm_messages_plugin.stream.observers import CallObserver

log = logging.getLogger("vllm.messages")


class OutputParser(Protocol):
    """Parses the output of one reply.

    Attributes:
        thinking_tokens: how many tokens of the output were thinking; None where no thinking is parsed.
        incomplete_call: whether a tool call ended before the model had completed it.
        cut: whether the output is ended by a limit; set before its last part is parsed.
        takes_any_part: whether parts of many tokens are parsed, and counted, exactly as single tokens.
    """

    thinking_tokens: int | None
    incomplete_call: bool
    cut: bool
    takes_any_part: bool

    @property
    def thinking(self) -> bool:
        """Whether the output parsed so far ends inside thinking."""
        ...

    def parse(
        self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool
    ) -> list[EngineDelta]:
        """Parse the next part of the output.

        Args:
            text: the new text.
            token_ids: the new tokens.
            prompt_ids: the tokens of the prompt.
            finished: whether the output ends here.

        Returns:
            What can be decided by now; the rest is buffered.
        """
        ...


class ThinkingCounter:
    """Counts thinking tokens by the tags, where each tag is one token.

    The count does not depend on how the engine splits its outputs.
    """

    def __init__(self, open_id: int, close_id: int, inside: bool) -> None:
        """Args are the tags' tokens, and whether the prompt has opened the thinking."""
        self._open_id = open_id
        self._tags = frozenset((open_id, close_id))
        self._inside = inside
        self._taken = 0
        self.total = 0

    def count(self, token_ids: Sequence[int]) -> None:
        """Add the tokens of the next part of the output."""
        if self._tags.isdisjoint(token_ids):
            self.total += self._inside * len(token_ids)
            return
        for token in token_ids:
            if token in self._tags:
                self._inside = token == self._open_id
            else:
                self.total += self._inside

    def take_new(self) -> int:
        """Return the number of tokens counted since the last call."""
        new, self._taken = self.total - self._taken, self.total
        return new


class PlainOutputParser:
    """Returns the whole output as text."""

    thinking_tokens: int | None = None
    thinking = False
    incomplete_call = False
    cut = False
    takes_any_part = True

    def parse(
        self,
        text: str,
        token_ids: Sequence[int],  # noqa: ARG002
        prompt_ids: Any,  # noqa: ARG002
        finished: bool,  # noqa: ARG002
    ) -> list[EngineDelta]:
        return [EngineText(text)] if text else []


class ScannerOutputParser:
    """Parses the output with this plugin's scanner."""

    def __init__(self, scanner: Scanner, reads_thinking: bool, counter: ThinkingCounter | None) -> None:
        """Wrap a scanner.

        Args:
            scanner: a fresh scanner of the model's format.
            reads_thinking: whether the scanner reads thinking.
            counter: counts thinking tokens; without one they are estimated by the engine's outputs.
        """
        self._scanner = scanner
        self._counter = counter
        self.takes_any_part = counter is not None or not reads_thinking
        self.thinking_tokens: int | None = 0 if reads_thinking else None
        self.incomplete_call = False
        self.cut = False

    @property
    def thinking(self) -> bool:
        return self._scanner.thinking

    def parse(
        self,
        text: str,
        token_ids: Sequence[int],
        prompt_ids: Any,  # noqa: ARG002
        finished: bool,
    ) -> list[EngineDelta]:
        pieces = self._scanner.feed(text)
        if finished:
            pieces += self._scanner.finish(cut=self.cut)
        if self._counter is not None:
            self._counter.count(token_ids)
            self.thinking_tokens = self._counter.total
        if len(pieces) == 1 and type(pieces[0]) is TextPiece:  # nearly every token
            return [EngineText(pieces[0].text)]
        return self._deltas(pieces, len(token_ids))

    def _deltas(self, pieces: Sequence[Piece], uncounted: int) -> list[EngineDelta]:
        """The deltas of pieces, which so many tokens brought."""
        deltas: list[EngineDelta] = []
        for piece in pieces:
            if isinstance(piece, TextPiece):
                deltas.append(EngineText(piece.text))
            elif isinstance(piece, ThinkingPiece):
                tokens = self._counter.take_new() if self._counter is not None else uncounted
                deltas.append(EngineThinking(piece.text, tokens))
                if self._counter is None:
                    self.thinking_tokens = (self.thinking_tokens or 0) + uncounted
                uncounted = 0
            elif isinstance(piece, CallPiece):
                deltas.append(EngineToolCall(piece.index, piece.name, piece.arguments))
            elif not piece.complete:
                self.incomplete_call = True
        return deltas


class VllmOutputParser:
    """Parses the output with vLLM's unified Parser, which does not report whether a call is complete."""

    incomplete_call = False
    cut = False
    takes_any_part = False

    def __init__(
        self,
        parser: Any,
        request: Any,
        start: ReasoningStartDetector | None,
        plain: Callable[[], Any],
        observer: CallObserver,
    ) -> None:
        """Wrap a parser of vLLM's.

        Args:
            parser: a fresh parser.
            request: the chat request, which vLLM's parsers want with each part of the output.
            start: decides whether the output begins with thinking, where the prompt leaves that open.
            plain: creates the parser of an output without thinking.
            observer: learns of each call whose arguments were no object.
        """
        self._parser = parser
        self._request = request
        self._start = start
        self._plain = plain
        self._calls = VllmCalls(observer)
        self._ids_since_thinking: list[int] | None = None
        self.thinking_tokens: int | None = 0 if parser.reasoning_parser is not None else None

    @property
    def thinking(self) -> bool:
        if self._parser is None or self._ids_since_thinking is None:
            return False
        return not self._parser.is_reasoning_end(self._ids_since_thinking)

    def parse(
        self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool
    ) -> list[EngineDelta]:
        ids = list(token_ids)
        if self._start is not None:
            decision = self._start.feed(text, ids, finished)
            if decision is None:
                return []
            thinks, text, ids = decision
            self._start = None
            if not thinks:
                self._parser = self._plain()
        if self._parser is None:
            return [EngineText(text)] if text else []
        message = self._parser.parse_delta(
            delta_text=text,
            delta_token_ids=ids,
            request=self._request,
            prompt_token_ids=prompt_ids,
            finished=finished,
        )
        if self._ids_since_thinking is not None:
            self._ids_since_thinking += ids
        deltas = [] if message is None else self._deltas(message, ids)
        return [*deltas, *self._calls.end(cut=self.cut)] if finished else deltas

    def _deltas(self, message: Any, ids: list[int]) -> list[EngineDelta]:
        """Convert vLLM's DeltaMessage."""
        deltas: list[EngineDelta] = []
        if message.reasoning:
            self.thinking_tokens = (self.thinking_tokens or 0) + len(ids)
            self._ids_since_thinking = ids
            deltas.append(EngineThinking(message.reasoning, len(ids)))
        if message.content or message.tool_calls:
            self._ids_since_thinking = None
        if message.content:
            if not message.content.isspace():
                deltas += self._calls.end()
            deltas.append(EngineText(message.content))
        for call in message.tool_calls or ():
            function = call.function
            if function is not None:
                deltas += self._calls.add(call.index, function.name or None, function.arguments or "")
        return deltas


class CallReports:
    """Logs calls that were repaired or could not be read, and passes them to an observer if there is one."""

    def __init__(self, observer: CallObserver | None) -> None:
        self._observer = observer

    def add_repair(self, note: str) -> None:
        log.info("A tool call was repaired: %s", note)
        if self._observer is not None:
            self._observer.add_repair(note)

    def add_raw_call(self) -> None:
        log.info("Markup of a tool call could not be read and stayed in the reply as text")
        if self._observer is not None:
            self._observer.add_raw_call()
