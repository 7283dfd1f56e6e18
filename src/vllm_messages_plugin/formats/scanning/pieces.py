"""What the scanner hands out: text, thought and calls in small pieces.

Made by the scanner, consumed by the engine room and by the parser adapters.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingPiece:
    """A piece of the thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of the call number `index`: its name, once and first, then pieces of its arguments.

    Put together the arguments are JSON text: at every moment the beginning of an object.
    """

    index: int
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The end of a call. A call that is not whole was cut, and its JSON is left unfinished."""

    index: int
    whole: bool


Piece = TextPiece | ThinkingPiece | CallPiece | CallEnd


class Pieces:
    """Collects pieces and joins what belongs together."""

    __slots__ = ("_done", "_index", "_kind", "_name", "_parts")

    def __init__(self) -> None:
        self._done: list[Piece] = []
        self._kind: type[TextPiece | ThinkingPiece | CallPiece] = TextPiece
        self._index = 0
        self._name: str | None = None
        self._parts: list[str] = []

    def say(self, kind: type[TextPiece | ThinkingPiece], text: str) -> None:
        """Add to the text or the thought."""
        if kind is not self._kind:
            self._join()
            self._kind = kind
        self._parts.append(text)

    def begin(self, index: int, name: str) -> None:
        """Begin a call."""
        self._join()
        self._kind, self._index, self._name = CallPiece, index, name

    def argue(self, index: int, arguments: str) -> None:
        """Add to a call's arguments."""
        if self._kind is not CallPiece:
            self._join()
            self._kind, self._index = CallPiece, index
        self._parts.append(arguments)

    def end(self, index: int, whole: bool) -> None:
        """End a call."""
        self._join()
        self._done.append(CallEnd(index, whole))

    def drain(self) -> list[Piece]:
        """Hand out what has been collected."""
        self._join()
        done, self._done = self._done, []
        return done

    def _join(self) -> None:
        text = "".join(self._parts)
        self._parts.clear()
        if self._kind is CallPiece:
            if text or self._name:
                self._done.append(CallPiece(self._index, self._name, text))
            self._name = None
        elif text:
            self._done.append(ThinkingPiece(text) if self._kind is ThinkingPiece else TextPiece(text))
        self._kind = TextPiece
