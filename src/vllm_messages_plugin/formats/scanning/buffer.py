"""The text that has arrived but has not been read, and how a parser waits for more of it.

A parser in this package is a generator. It reads from an `InputBuffer`, yields when it needs text that has
not arrived yet, and is resumed when more text arrived or when the output is known to have ended. The
position in the text survives a yield, so nothing is read twice.

Most chunks are in the midst of a text or a string, and hold nothing that could end it. A parser that waits
there sets `plain`: chunks without a match of its pattern then go to its function, and the parser, which
would do the same with them, is not resumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")
ReadGenerator = Generator[None, None, T]

_SPACE: Final = re.compile(r"\s*")


class PlainText(NamedTuple):
    """How to read a chunk in which nothing ends.

    Attributes:
        stop: Matches wherever the text may end, also at a beginning of markup at the end of a chunk.
        write: Receives the chunks without a match.
    """

    stop: re.Pattern[str]
    write: Callable[[str], None]


class InputBuffer:
    """A window on the model's output: what lies before `at` has been read.

    Parsers use `text` and `at` directly and move `at` forward. A parser that may have to give up sets a
    bookmark (`mark`) and later either returns to it (`rewind`) or drops it (`forget`). There is at most
    one bookmark; the text behind it is kept until then.

    Attributes:
        text: The part of the output that is in the window.
        at: The position in `text` of the next character to read.
        ended: True once no more text will arrive.
        cut: True if the output ended because of a limit, not because the model stopped.
        starved: True if a parser needed more text than there was before the output ended.
        plain: How the parser that waits reads plain chunks; None if it must be resumed for each. It may be
            set only while everything that arrived is read.
    """

    __slots__ = ("_bookmark", "_discarded", "_kept", "at", "cut", "ended", "plain", "starved", "text")

    def __init__(self, text: str = "", ended: bool = False) -> None:
        self.text = text
        self.at = 0
        self.ended = ended
        self.cut = False
        self.starved = False
        self.plain: PlainText | None = None
        self._kept: list[str] | None = None  # read since the bookmark, and no longer in the window
        self._bookmark = 0  # where in `text` the part begins that is not in `_kept`
        self._discarded = 0  # number of characters of the output that have left the window

    def push(self, chunk: str) -> None:
        """Append text and drop from the window what has been read."""
        if self._kept is not None:
            self._kept.append(self.text[self._bookmark : self.at])
            self._bookmark = 0
        self.text = self.text[self.at :] + chunk
        self._discarded += self.at
        self.at = 0

    def pass_by(self, chunk: str) -> bool:
        """Read a whole chunk as plain text; False, with nothing done, if a parser must read it."""
        plain = self.plain
        if plain is None or self._kept is not None or plain.stop.search(chunk) is not None:
            return False
        self._discarded += self.at
        self.text = chunk
        self.at = len(chunk)
        plain.write(chunk)
        return True

    def take(self, to: int) -> str:
        """Read up to a position of `text` and return what was read."""
        taken = self.text[self.at : to]
        self.at = to
        return taken

    @property
    def discarded(self) -> int:
        """The number of characters of the output that have left the window."""
        return self._discarded

    @property
    def position(self) -> int:
        """The number of characters of the whole output that have been read."""
        return self._discarded + self.at

    @property
    def exhausted(self) -> bool:
        """True if all text that has arrived is read."""
        return self.at >= len(self.text)

    def mark(self) -> None:
        """Set the bookmark at the current position."""
        self._kept, self._bookmark = [], self.at
        self.starved = False

    def forget(self) -> None:
        """Drop the bookmark."""
        self._kept = None

    def marked(self) -> str:
        """Return what has been read since the bookmark; "" without one."""
        if self._kept is None:
            return ""
        return "".join(self._kept) + self.text[self._bookmark : self.at]

    def rewind(self) -> None:
        """Go back to the bookmark and drop it."""
        if self._kept:  # text arrived meanwhile, so what was read is no longer in the window
            self.text = self.marked() + self.text[self.at :]
            self._discarded -= sum(map(len, self._kept))
            self._bookmark = 0
        self.at = self._bookmark
        self._kept = None


def next_char(buffer: InputBuffer) -> ReadGenerator[str]:
    """Skip whitespace and return the next character without reading it; "" at the end of the output."""
    while True:
        found = _SPACE.match(buffer.text, buffer.at)
        if found:
            buffer.at = found.end()
        if buffer.at < len(buffer.text):
            return buffer.text[buffer.at]
        if buffer.ended:
            buffer.starved = True
            return ""
        yield


def next_token(buffer: InputBuffer) -> ReadGenerator[str]:
    """Like `next_char`, but also skip the two characters \\n that a model wrote for a line end."""
    while True:
        char = yield from next_char(buffer)
        if char != "\\":
            return char
        while buffer.at + 1 >= len(buffer.text) and not buffer.ended:
            yield
        if buffer.text[buffer.at + 1 : buffer.at + 2] not in ("n", "r", "t"):
            return char
        buffer.at += 2


def run(parser: ReadGenerator[T]) -> T:
    """Run a parser whose buffer has ended and return its result."""
    try:
        while True:
            next(parser)
    except StopIteration as stop:
        result: T = stop.value
        return result


def safe_end(text: str, at: int, literal: str) -> int:
    """Return how far `text` can be read without reading the beginning of an unfinished literal.

    Args:
        text: Text in which `literal` does not occur completely.
        at: Where to start looking.
        literal: The literal that the next chunk may complete.

    Returns:
        The position of the longest suffix of `text` that is a prefix of `literal`, or the text's length.
    """
    place = text.find(literal[0], max(at, len(text) - len(literal) + 1))
    while place >= 0 and not literal.startswith(text[place:]):
        place = text.find(literal[0], place + 1)
    return place if place >= 0 else len(text)
