"""Reads JSON values that are no strings, objects or arrays, and text that a model left without its quotes.

A number or a literal is read as JSON has it, or Python. Anything else is a value only where the schema asks
for a string: then a bare word such as `Oslo`, `NaN` or `New York` is that string, and so is text in single
quotes. Where the schema is not known, or allows a number for `NaN`, more than one reading is possible, and
none is made.
"""

from __future__ import annotations

import json
import re
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.json_string import Write, read_string
from vllm_messages_plugin.formats.scanning.readers.python_literal import json_of_literal
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, coerce_literal

SCALAR_LIMIT: Final = 400
QUOTED_LIMIT: Final = 8192  # characters of text in single quotes, which is parsed in one go
_TOKEN: Final = re.compile(rf"[^\s,:\"\\\[\]{{}}<]{{1,{SCALAR_LIMIT}}}")
_BARE_TEXT: Final = re.compile(rf"[^,{{}}\[\]<>\"'\\\n|`]{{1,{SCALAR_LIMIT}}}")
_VALUE_ENDS: Final = tuple(MarkupPattern(f"' {follower}") for follower in ",}]")
_KEY_ENDS: Final = (MarkupPattern("' :"),)
_NOT_A_NUMBER: Final = frozenset(("NaN", "Infinity", "-Infinity"))
_MISSING: Final = frozenset(("undefined", "nil", "null", "None"))  # words for no value at all


def read_scalar(
    buffer: InputBuffer, node: SchemaNode | None, in_object: bool, on_repair: Write
) -> ReadGenerator[str | None]:
    """Read a number, a literal or a bare word.

    Args:
        buffer: The input, at the scalar.
        node: The schema of the place.
        in_object: An object is open around it, so that it may have been cut at the end of the output.
        on_repair: Receives the name of each repair.

    Returns:
        The value as JSON; None, with nothing read, if it is none or was cut.
    """
    token = yield from _whole_match(_TOKEN, buffer, in_object)
    if token is None:
        return None
    written = literal_of(token, node, on_repair)
    if written is not None:
        buffer.at += len(token)
        return written
    if not _allows_bare_text(token, node):
        return None
    text = yield from _whole_match(_BARE_TEXT, buffer, in_object)
    if text is None or buffer.text[buffer.at + len(text) : buffer.at + len(text) + 1] not in (
        ",",
        "}",
        "]",
        "\n",
    ):
        return None
    buffer.at += len(text)
    on_repair(repair.BARE_WORD)
    return repair.quote(text.strip())


def literal_of(token: str, node: SchemaNode | None, on_repair: Write) -> str | None:
    """Return a JSON or Python literal as JSON, in the schema's types; None if the token is none."""
    literal = repair.to_literal(token)
    if literal is None:
        return None
    if token != literal:
        on_repair(repair.PYTHON_LITERAL)
    return coerce_literal(literal, token, node.types if node else None)


def read_quoted(buffer: InputBuffer, on_repair: Write, *, is_key: bool = False) -> ReadGenerator[str | None]:
    """Read a string, also one in single quotes, as Python writes it.

    Args:
        buffer: The input, at the opening quote or at the backslash before it.
        on_repair: Receives the name of each repair.
        is_key: The string is a key, so that a colon follows it.

    Returns:
        The text of the string; None if it is broken or cut.
    """
    if not buffer.text.startswith("'", buffer.at):
        return (yield from read_string(buffer, on_repair))
    text = yield from read_single_quoted(buffer, is_key=is_key)
    if text is not None:
        on_repair(repair.PYTHON_LITERAL)
    return text


def read_single_quoted(buffer: InputBuffer, *, is_key: bool = False) -> ReadGenerator[str | None]:
    """Read text in single quotes, from the opening one, to a quote behind which an object or array goes on.

    Args:
        buffer: The input.
        is_key: The text is a key, so that a colon follows it.

    Returns:
        The text, with Python's escapes resolved; None if it is cut or longer than `QUOTED_LIMIT`.
    """
    searched, ends = 1, _KEY_ENDS if is_key else _VALUE_ENDS
    while True:
        place = buffer.text.find("'", buffer.at + searched)
        found: PatternMatch | NoMatch = NoMatch.PARTIAL
        if place >= 0:
            found = match_first(ends, buffer.text, place, buffer.ended)
        if isinstance(found, PatternMatch):
            return _unquoted(buffer.take(place + 1))
        if buffer.ended and (place < 0 or found is NoMatch.PARTIAL):
            buffer.starved = True
            return None
        if len(buffer.text) - buffer.at > QUOTED_LIMIT:
            return None
        searched = (place if place >= 0 else len(buffer.text)) - buffer.at
        if found is NoMatch.NO:
            searched += 1
        else:
            yield


def _unquoted(written: str) -> str:
    """The text of a Python string; what is no Python string loses its quotes."""
    found = json_of_literal(written)
    text: str = written[1:-1] if found is None else json.loads(found)
    return text


def _whole_match(pattern: re.Pattern[str], buffer: InputBuffer, in_object: bool) -> ReadGenerator[str | None]:
    """Wait until it is certain how far a pattern matches here; None if it does not, or the output was cut."""
    while True:
        found = pattern.match(buffer.text, buffer.at)
        if found is None:
            return None
        if found.end() < len(buffer.text) or found.end() - found.start() == SCALAR_LIMIT:
            return found[0]
        if buffer.ended:
            if in_object:  # the token may have been cut
                buffer.at = len(buffer.text)
                return None
            return found[0]
        yield


def _allows_bare_text(token: str, node: SchemaNode | None) -> bool:
    """True if a word without quotes can only be a string here."""
    if node is None or node.types is None or "string" not in node.types or token in _MISSING:
        return False
    return token not in _NOT_A_NUMBER or not node.types & {"number", "integer"}
