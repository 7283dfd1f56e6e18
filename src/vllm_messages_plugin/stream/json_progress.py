"""How far a piece-wise JSON value has come: whether it is complete.

Used by `machine` to know when a tool call's arguments have ended. Looks at each character once.
"""

import re
from typing import Final

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')


class JsonProgress:
    """Follows one JSON object or array; scalars at the top never count as complete."""

    __slots__ = ("_escaped", "_in_string", "_open", "complete")

    def __init__(self) -> None:
        self._open: list[str] = []  # the brackets that would close what is open
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
                self._turn(match.group())

    def _turn(self, character: str) -> None:
        if character == '"':
            self._in_string = not self._in_string
        elif character in "{[":
            self._open.append("}" if character == "{" else "]")
        else:
            if self._open:
                self._open.pop()
            self.complete = not self._open

    def ending(self) -> str:
        """What would close an open string and all that stands around it; nothing outside a string."""
        return '"' + "".join(reversed(self._open)) if self._in_string and not self._escaped else ""
