"""Finds where the members of a JSON object and the elements of a JSON array stand, without parsing them.

The body of a batch may have 256 MB. Parsing it in one call would hold the interpreter's lock for seconds. So
a `Spans` cursor walks over the brackets and quotes of the text, each value is parsed by itself, and other
threads run in between. Strings are skipped with `find`, at the speed of memory, and the time is linear.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]
"""Where a value begins, and where it ends, in bytes."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_SCALAR: Final = re.compile(rb"[^\s,\]}\[{\":]+")
_BRACKET: Final = re.compile(rb'["{}\[\]]')
_BACKSLASH: Final = 0x5C


class JsonSyntaxError(ValueError):
    """The text is malformed between its values."""

    def __init__(self, position: int) -> None:
        super().__init__(f"unexpected character or end at byte {position}")


class Spans:
    """A cursor in JSON text. Every method raises JsonSyntaxError where the text is malformed.

        for key in cursor.members():  # of an object
            start, end = cursor.value()

    Attributes:
        at: The position of the cursor.
    """

    def __init__(self, text: bytes | bytearray, at: int = 0) -> None:
        self._text = text
        self.at = at

    def members(self) -> Iterator[str]:
        """Yield the key of each member of the object at the cursor; the caller then passes the value."""
        for start in self._entries(b"{", b"}"):
            if self._text[start : start + 1] != b'"':
                raise JsonSyntaxError(start)
            key = self._key(self.value())
            self._expect(b":")
            self._skip_space()
            yield key

    def elements(self) -> Iterator[int]:
        """Yield where each element of the array at the cursor begins; the caller then passes it."""
        yield from self._entries(b"[", b"]")

    def value(self) -> Span:
        """Pass the value at the cursor and return its place."""
        start, first = self.at, self._text[self.at : self.at + 1]
        if first == b'"':
            self.at = self._string_end(start + 1)
        elif first in (b"{", b"["):
            self.at = self._bracket_end(start)
        else:
            scalar = _SCALAR.match(self._text, start)
            if scalar is None:
                raise JsonSyntaxError(start)
            self.at = scalar.end()
        return start, self.at

    def end(self) -> None:
        """Check that nothing but space follows."""
        self._skip_space()
        if self.at < len(self._text):
            raise JsonSyntaxError(self.at)

    def _entries(self, opening: bytes, closing: bytes) -> Iterator[int]:
        self._expect(opening)
        if self._found(closing):
            return
        while True:
            self._skip_space()
            yield self.at
            if self._found(closing):
                return
            self._expect(b",")

    def _key(self, span: Span) -> str:
        key = self._text[span[0] + 1 : span[1] - 1]
        try:
            return str(json.loads(b'"%b"' % bytes(key))) if b"\\" in key else key.decode()
        except ValueError:
            raise JsonSyntaxError(span[0]) from None

    def _expect(self, character: bytes) -> None:
        if not self._found(character):
            raise JsonSyntaxError(self.at)

    def _found(self, character: bytes) -> bool:
        """Pass a character, if it is the next one after space."""
        self._skip_space()
        if self._text[self.at : self.at + 1] != character:
            return False
        self.at += 1
        return True

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self.at)
        self.at = space.end() if space else self.at

    def _string_end(self, at: int) -> int:
        """The position behind the quote that closes the string whose content begins at a position."""
        text = self._text
        while (quote := text.find(b'"', at)) >= 0:
            if text[quote - 1] != _BACKSLASH:
                return quote + 1
            before = quote - 2
            while before >= at and text[before] == _BACKSLASH:
                before -= 1
            if (quote - 1 - before) % 2 == 0:
                return quote + 1
            at = quote + 1
        raise JsonSyntaxError(len(text))

    def _bracket_end(self, at: int) -> int:
        depth, text, search = 0, self._text, _BRACKET.search
        while (found := search(text, at)) is not None:
            bracket, at = found[0], found.end()
            if bracket == b'"':
                at = self._string_end(at)
            elif bracket in (b"{", b"["):
                depth += 1
            elif depth == 1:
                return at
            else:
                depth -= 1
        raise JsonSyntaxError(len(text))
