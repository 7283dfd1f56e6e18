"""Reads JSON text in which halves of surrogate pairs stand for U+FFFD.

Clients that cut a text by UTF-16 code units send such halves. JSON parsers reject the whole text, so without
the replacement a session with one such text in its history could never continue.
"""

import re
from collections.abc import Iterator
from typing import Any

import pydantic_core

# Both patterns begin with a byte that the search finds at the speed of memory. In valid UTF-8 the byte ED is
# never followed by A0 to BF.
_RAW = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_ESCAPED = re.compile(
    rb"\\u[dD](?:([89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|[89a-fA-F][0-9a-fA-F]{2})"
)
"""An escaped pair (with group 1) or an escaped half of one."""

_LONGEST_MATCH = 12  # bytes
_WINDOW = 1 << 16
"""Bytes that are searched in one call, so that other threads get their turn."""

_BACKSLASH = 0x5C


def read_json(text: bytes, *, allow_inf_nan: bool = True) -> Any:
    """Parse JSON text, and once more without halves of surrogate pairs if it is not valid.

    Args:
        text: The JSON text.
        allow_inf_nan: Whether `NaN` and `Infinity` are accepted as numbers.

    Raises:
        ValueError: The text is not valid JSON; names the line and column.
    """
    try:
        return pydantic_core.from_json(text, allow_inf_nan=allow_inf_nan)
    except ValueError:
        repaired = replace_lone_surrogates(text)
        if repaired is text:
            raise
    return pydantic_core.from_json(repaired, allow_inf_nan=allow_inf_nan)


def replace_lone_surrogates(text: bytes) -> bytes:
    """Replace halves of surrogate pairs in JSON text by U+FFFD; without any, return the text itself."""
    repaired: bytearray | None = None
    for places, replacement in ((_escaped_halves(text), b"\\ufffd"), (_raw_halves(text), b"\xef\xbf\xbd")):
        for place in places:
            if repaired is None:
                repaired = bytearray(text)
            repaired[place : place + len(replacement)] = replacement
    return text if repaired is None else bytes(repaired)


def _escaped_halves(text: bytes) -> Iterator[int]:
    for match in _matches(_ESCAPED, text):
        if not match[1]:
            yield match.start()


def _raw_halves(text: bytes) -> Iterator[int]:
    for match in _matches(_RAW, text):
        yield match.start()


def _matches(pattern: re.Pattern[bytes], text: bytes) -> Iterator[re.Match[bytes]]:
    """The matches in a text, without those that begin with an escaped backslash."""
    at = 0
    while at < len(text):
        end = at + _WINDOW
        match = pattern.search(text, at, end - 1 + _LONGEST_MATCH)
        if match is None or match.start() >= end:
            at = end
        elif _backslashes_before(text, match.start()) % 2:
            at = match.start() + 1
        else:
            yield match
            at = match.end()


def _backslashes_before(text: bytes, place: int) -> int:
    start = place
    while start and text[start - 1] == _BACKSLASH:
        start -= 1
    return place - start
