"""The text that has come and has not been read, and the readers' way to wait for more.

A reader is a generator: it yields when it needs text that has not come yet, and is resumed when more
came or the end is known. Used by every reader of the scanner; knows nothing of any format.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final, TypeVar

T = TypeVar("T")
ReadGenerator = Generator[None, None, T]

_SPACE: Final = re.compile(r"\s*")


class InputBuffer:
    """A window on the text: what lies before `at` has been read.

    `text` and `at` are open to readers, which move `at` forward. `mark` begins to remember what is
    read, so that an attempt can be taken back.
    """

    __slots__ = ("_from", "_kept", "_passed", "at", "ended", "text")

    def __init__(self, text: str = "", ended: bool = False) -> None:
        self.text = text
        self.at = 0
        self.ended = ended
        self._kept: list[str] | None = None
        self._from = 0
        self._passed = 0  # of the whole text, what is no longer in the window

    def push(self, chunk: str) -> None:
        """Add text at the end and forget what has been read."""
        if self._kept is not None:
            self._kept.append(self.text[self._from : self.at])
            self._from = 0
        self.text = self.text[self.at :] + chunk
        self._passed += self.at
        self.at = 0

    def take(self, to: int) -> str:
        """Read up to a position of `text`."""
        taken = self.text[self.at : to]
        self.at = to
        return taken

    @property
    def position(self) -> int:
        """How much of the whole text has been read."""
        return self._passed + self.at

    @property
    def spent(self) -> bool:
        """Whether all that has come is read."""
        return self.at >= len(self.text)

    def mark(self) -> None:
        """Remember what is read from here on."""
        self._kept, self._from = [], self.at

    def forget(self) -> None:
        """Remember no longer."""
        self._kept = None

    def marked(self) -> str:
        """What has been read since `mark`."""
        if self._kept is None:
            return ""
        return "".join(self._kept) + self.text[self._from : self.at]

    def rewind(self) -> None:
        """Go back to where `mark` was called, and forget it."""
        if self._kept:  # more came meanwhile: what was read is no longer in the window
            self.text = self.marked() + self.text[self.at :]
            self._passed -= sum(map(len, self._kept))
            self._from = 0
        self.at = self._from
        self._kept = None


def next_char(tape: InputBuffer) -> ReadGenerator[str]:
    """Skip white space and look at the next character; "" at the end."""
    while True:
        found = _SPACE.match(tape.text, tape.at)
        if found:
            tape.at = found.end()
        if tape.at < len(tape.text):
            return tape.text[tape.at]
        if tape.ended:
            return ""
        yield


def run(reading: ReadGenerator[T]) -> T:
    """The result of a reading from a tape that has ended."""
    try:
        while True:
            next(reading)
    except StopIteration as stop:
        result: T = stop.value
        return result


def sure_end(text: str, at: int, head: str) -> int:
    """How far a text surely holds nothing that may become a head which has not come whole."""
    place = text.find(head[0], max(at, len(text) - len(head) + 1))
    while place >= 0 and not head.startswith(text[place:]):
        place = text.find(head[0], place + 1)
    return place if place >= 0 else len(text)
