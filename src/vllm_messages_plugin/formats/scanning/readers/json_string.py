"""Copies JSON strings that arrive in pieces, repaired where they are not valid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, PlainText, ReadGenerator

Write = Callable[[str], None]

ESCAPED_LIMIT: Final = 8192  # characters of a string whose quotes are escaped
_ESCAPED_STRING: Final = re.compile(r'\\"((?:[^"\\]|\\\\(?:\\"|[^"]))*)\\"')
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
_NOT_PLAIN: Final = re.compile(r'["\\\x00-\x1f]')


def ignore_repair(_: str) -> None:
    """Ignore repair notes."""


def copy_string(buffer: InputBuffer, write: Write, on_repair: Write) -> ReadGenerator[bool]:
    """Copy the inside of a JSON string, repaired where it is not valid, and read its closing quote.

    Args:
        buffer: The input, behind the opening quote.
        write: Receives the inside of the string, in pieces that hold complete escapes.
        on_repair: Receives the name of each repair.

    Returns:
        False if the output ends before the closing quote.
    """
    while True:
        text, at = buffer.text, buffer.at
        plain = _PLAIN.match(text, at)
        if plain:
            write(plain[0])
            buffer.at = at = plain.end()
        if at == len(text):
            if buffer.ended:
                buffer.starved = True
                return False
            buffer.plain = PlainText(_NOT_PLAIN, write)
            yield
            buffer.plain = None
        elif text[at] == '"':
            buffer.at += 1
            return True
        elif text[at] != "\\":
            on_repair(repair.CONTROL_CHARACTER)
            write(repair.escaped(buffer.take(at + 1)))
        elif not _copy_escape(buffer, write, on_repair):
            if buffer.ended:
                buffer.starved = True
                return False
            yield


def _copy_escape(buffer: InputBuffer, write: Write, on_repair: Write) -> bool:
    """Copy an escape; False if its end has not arrived."""
    escape = repair.ESCAPE.match(buffer.text, buffer.at)
    if escape:
        write(escape[0])
        buffer.at = escape.end()
        return True
    if repair.PARTIAL_ESCAPE.match(buffer.text, buffer.at):
        return False
    on_repair(repair.BAD_ESCAPE)
    replacement, length = repair.repair_escape(buffer.text, buffer.at)
    write(replacement)
    buffer.at += length
    return True


def read_string(buffer: InputBuffer, on_repair: Write) -> ReadGenerator[str | None]:
    """Read a complete string, also one whose quotes are escaped once too often.

    Args:
        buffer: The input, at the opening quote or at the backslash before it.
        on_repair: Receives the name of each repair.

    Returns:
        The text of the string; None if it is broken or cut.
    """
    if not buffer.text.startswith("\\", buffer.at):
        buffer.at += 1
        parts: list[str] = []
        if not (yield from copy_string(buffer, parts.append, on_repair)):
            return None
        text: str = json.loads(f'"{"".join(parts)}"')
        return text
    while True:
        found = _ESCAPED_STRING.match(buffer.text, buffer.at)
        if found:
            buffer.at = found.end()
            on_repair(repair.ESCAPED_VALUE)
            return unescape(unescape(found[1]) or "")
        if buffer.ended or len(buffer.text) - buffer.at > ESCAPED_LIMIT:
            buffer.starved = buffer.starved or buffer.ended
            return None
        yield


def unescape(inside: str) -> str | None:
    """Read the inside of a JSON string; None if it is none."""
    try:
        text: str = json.loads(f'"{inside}"', strict=False)
    except ValueError:
        return None
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
