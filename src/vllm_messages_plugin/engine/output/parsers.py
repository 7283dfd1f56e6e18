"""The text of a reply into thinking, text and calls.

Used by `generate`; made per request by `backend`. Where the model's markup is a shape we know, our own
scanner reads it: linear in its length, never losing a call or dressing up a cut one. Elsewhere vLLM's
unified Parser does.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vllm_messages_plugin.engine.output.reasoning_start import ReasoningStartDetector
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Scanner, TextPiece, ThinkingPiece
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineThinking, EngineToolCall

log = logging.getLogger("vllm.messages")


class OutputParser(Protocol):
    """Reads one reply. `thinking_tokens` is None where nothing is read for thinking."""

    thinking_tokens: int | None

    @property
    def thinking(self) -> bool:
        """Whether the reply, as far as it goes, ends inside a thought."""
        ...

    def read(
        self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool
    ) -> list[EngineDelta]: ...


class ThinkingCounter:
    """Counts the tokens of the thinking by its tags, which are tokens of their own.

    What stands between them is counted however the engine cuts its outputs.
    """

    def __init__(self, opening: int, closing: int, inside: bool) -> None:
        self._opening = opening
        self._closing = closing
        self._inside = inside
        self._told = 0
        self.total = 0

    def count(self, token_ids: Sequence[int]) -> None:
        for token in token_ids:
            if token in (self._opening, self._closing):
                self._inside = token == self._opening
            else:
                self.total += self._inside

    def untold(self) -> int:
        """The tokens counted since this was last asked."""
        found, self._told = self.total - self._told, self.total
        return found


class PlainOutputParser:
    """A reply without markup: all is text."""

    thinking_tokens: int | None = None
    thinking = False

    def read(self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool) -> list[EngineDelta]:  # noqa: ARG002
        return [EngineText(text)] if text else []


class ScannerOutputParser:
    """A reply in a shape of our own."""

    def __init__(self, scanner: Scanner, thinks: bool, calls: bool, counter: ThinkingCounter | None) -> None:
        """With `calls` false, calls are left out: the request forbade them."""
        self._scanner = scanner
        self._counter = counter
        self._calls = calls
        self.thinking_tokens: int | None = 0 if thinks else None

    @property
    def thinking(self) -> bool:
        return self._scanner.thinking

    def read(self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool) -> list[EngineDelta]:  # noqa: ARG002
        pieces = self._scanner.feed(text)
        if finished:
            pieces += self._scanner.finish()
        tokens = len(token_ids)
        if self._counter is not None:
            self._counter.count(token_ids)
        found: list[EngineDelta] = []
        for piece in pieces:
            if isinstance(piece, TextPiece):
                found.append(EngineText(piece.text))
            elif isinstance(piece, ThinkingPiece):
                told = self._counter.untold() if self._counter is not None else tokens
                found.append(EngineThinking(piece.text, told))
                self.thinking_tokens = (self.thinking_tokens or 0) + tokens
                tokens = 0
            elif isinstance(piece, CallPiece) and self._calls:
                found.append(EngineToolCall(piece.index, piece.name, piece.arguments))
        if self._counter is not None:
            self.thinking_tokens = self._counter.total
        return found


class VllmOutputParser:
    """A reply that vLLM's Parser reads.

    `opening` decides whether the reply begins with thinking, where the prompt leaves that to the model;
    `plain` then makes the parser of a reply that doesn't.
    """

    def __init__(
        self, parser: Any, request: Any, opening: ReasoningStartDetector | None, plain: Callable[[], Any]
    ) -> None:
        self._parser = parser
        self._request = request
        self._opening = opening
        self._plain = plain
        self._calls: dict[int, int] = {}  # the parser's index -> ours, without gaps
        self._thought_ids: list[int] | None = None  # since thinking was last read
        self.thinking_tokens: int | None = 0 if parser.reasoning_parser is not None else None

    @property
    def thinking(self) -> bool:
        """The reasoning was the last thing read, and its end has not come since."""
        if self._parser is None or self._thought_ids is None:
            return False
        return not self._parser.is_reasoning_end(self._thought_ids)

    def read(self, text: str, token_ids: Sequence[int], prompt_ids: Any, finished: bool) -> list[EngineDelta]:
        ids = list(token_ids)
        if self._opening is not None:
            held = self._opening.take(text, ids, finished)
            if held is None:
                return []
            thinks, text, ids = held
            self._opening = None
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
        if self._thought_ids is not None:
            self._thought_ids += ids
        return [] if message is None else self._of_message(message, ids)

    def _of_message(self, message: Any, ids: list[int]) -> list[EngineDelta]:
        found: list[EngineDelta] = []
        if message.reasoning:
            self.thinking_tokens = (self.thinking_tokens or 0) + len(ids)
            self._thought_ids = ids
            found.append(EngineThinking(message.reasoning, len(ids)))
        if message.content or message.tool_calls:
            self._thought_ids = None
        if message.content:
            found.append(EngineText(message.content))
        for call in message.tool_calls or ():
            number = self._calls.setdefault(call.index, len(self._calls))
            function = call.function
            if function is not None:
                found.append(EngineToolCall(number, function.name or None, function.arguments or ""))
        return found


def log_repair(repair: str) -> None:
    """Log a repair of a call that the model wrote badly."""
    log.info("A tool call was mended: %s", repair)
