"""Tells whether a JSON value that arrives in pieces is complete. Looks at each character once."""

import re
from typing import Final

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')


class JsonProgress:
    """Follows one JSON object or array. A scalar at the top level never counts as complete."""

    __slots__ = ("_escaped", "_in_string", "_open", "complete")

    def __init__(self) -> None:
        self._open: list[str] = []  # the closing brackets still missing, outermost first
        self._in_string = False
        self._escaped = False
        self.complete = False

    def feed(self, text: str) -> None:
        position = 1 if self._escaped and text else 0
        if text:
            self._escaped = False
        while match := (_INSIDE if self._in_string else _OUTSIDE).search(text, position):
            position = match.end()
            if match.group() == "\\":
                self._escaped = position == len(text)
                position += 1
            else:
                self._apply(match.group())

    def _apply(self, character: str) -> None:
        if character == '"':
            self._in_string = not self._in_string
        elif character in "{[":
            self._open.append("}" if character == "{" else "]")
        else:
            if self._open:
                self._open.pop()
            self.complete = not self._open

    def closing_text(self) -> str:
        """The text that closes an open string and all brackets around it; empty outside a string."""
        return '"' + "".join(reversed(self._open)) if self._in_string and not self._escaped else ""
