"""The scanner's output: text, thinking and tool calls in small pieces.

The pieces that come with nearly every token are not frozen, which would triple the cost of making one.
Nothing changes them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, unsafe_hash=True)
class TextPiece:
    """A piece of the reply text."""

    text: str


@dataclass(slots=True, unsafe_hash=True)
class ThinkingPiece:
    """A piece of the thinking."""

    text: str


@dataclass(slots=True, unsafe_hash=True)
class CallPiece:
    """A piece of a tool call: first its name, once, then pieces of its arguments.

    The arguments of all pieces of a call, joined, are JSON text. At every moment they are a prefix of an
    object.

    Attributes:
        index: The number of the call in this reply, from 0.
        name: The tool's name, in the first piece only.
        arguments: A piece of the arguments.
    """

    index: int
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The end of a tool call.

    A call that is not complete was cut or broken. Its arguments are left as unfinished JSON, never closed,
    so that no client can take them for complete ones. Whoever reads the pieces must not report such a call
    as a finished tool use: only `complete` tells the two apart before the arguments are parsed.

    Attributes:
        index: The number of the call in this reply, from 0.
        complete: True if the model wrote the call to its end.
    """

    index: int
    complete: bool


Piece = TextPiece | ThinkingPiece | CallPiece | CallEnd


class Pieces:
    """Collects pieces and joins adjacent ones of the same kind."""

    __slots__ = ("_done", "_index", "_kind", "_name", "_parts")

    def __init__(self) -> None:
        self._done: list[Piece] = []
        self._kind: type[TextPiece | ThinkingPiece | CallPiece] = TextPiece
        self._index = 0
        self._name: str | None = None
        self._parts: list[str] = []

    def add_text(self, kind: type[TextPiece | ThinkingPiece], text: str) -> None:
        """Add to the text or to the thinking."""
        if kind is not self._kind:
            self._join()
            self._kind = kind
        self._parts.append(text)

    def begin_call(self, index: int, name: str) -> None:
        """Begin a call."""
        self._join()
        self._kind, self._index, self._name = CallPiece, index, name

    def add_arguments(self, index: int, arguments: str) -> None:
        """Add to the arguments of the call that is open."""
        if self._kind is not CallPiece:
            self._join()
            self._kind, self._index = CallPiece, index
        self._parts.append(arguments)

    def end_call(self, index: int, complete: bool) -> None:
        """End the call that is open."""
        self._join()
        self._done.append(CallEnd(index, complete))

    def drain(self) -> list[Piece]:
        """Return the pieces collected since the last time."""
        if self._parts or self._name:
            self._join()
        done, self._done = self._done, []
        return done

    def _join(self) -> None:
        text = self._parts[0] if len(self._parts) == 1 else "".join(self._parts)
        self._parts.clear()
        if self._kind is CallPiece:
            if text or self._name:
                self._done.append(CallPiece(self._index, self._name, text))
            self._name = None
        elif text:
            self._done.append(ThinkingPiece(text) if self._kind is ThinkingPiece else TextPiece(text))
        self._kind = TextPiece
