"""The repairs that may be made to a call, each with the text that is reported for it.

The list is closed: what is not on it is left as the model wrote it. A repair is made only where the model's
intention is beyond doubt, and each one is reported, once a call.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Final

# The text reported for each repair; the scanner puts the call's number and name before it.
TRAILING_COMMA: Final = "a trailing comma was dropped"
CONTROL_CHARACTER: Final = "a raw control character in a string was escaped"
BAD_ESCAPE: Final = "a backslash that begins no JSON escape was repaired"
PYTHON_LITERAL: Final = "a Python literal was written as JSON"
OTHER_KEY: Final = "the arguments stood under another key"
TEXT_ARGUMENTS: Final = "the arguments were JSON within a string"
LATE_NAME: Final = "the arguments stood before the name"
MISSING_BRACE: Final = "a missing final brace was added"
NO_ARGUMENTS: Final = "a call without arguments got empty ones"
BARE_WORD: Final = "a value without quotes was taken as text"
INNER_QUOTE: Final = "a quote inside a string was escaped"
SIMILAR_KEY: Final = "an argument's key got the spelling of the schema"
SIMILAR_NAME: Final = "the tool's name got the spelling of the offered tool"
NAME_AMONG_ARGUMENTS: Final = "the tool's name stood among its arguments"
NAME_FOUND: Final = "the tool was found by the call's arguments"
EXTRA_COMMA: Final = "a comma too many was dropped"
EXTRA_BRACE: Final = "a brace too many was dropped"
MISSING_COLON: Final = "a missing colon was added"
MISSING_COMMA: Final = "a missing comma was added"
WRAPPED_ARGUMENTS: Final = "the arguments stood inside a single argument"
OPEN_VALUE: Final = "a value without its closing tag was ended"
WRONG_CLOSING_TAG: Final = "a value ended at a closing tag that is not its own"
MISSING_END: Final = "a call without its closing tag was ended"
ESCAPED_VALUE: Final = "one layer of escaping was removed from a value"
DUPLICATE_KEY: Final = "an argument came twice; both were passed on in their order"

LITERALS: Final = {
    "true": "true",
    "false": "false",
    "null": "null",
    "True": "true",
    "False": "false",
    "None": "null",
}
NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SHORT_FLOAT: Final = re.compile(r"(-?)(0|[1-9]\d*)?\.(\d*)")
INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d*)")
# A complete escape. A high surrogate counts only with its low one: strict JSON parsers reject half a pair.
ESCAPE: Final = re.compile(
    r'\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2}'
    r"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
PARTIAL_ESCAPE: Final = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?\Z"
)
_LONE_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def quote(text: str) -> str:
    """Text as a JSON string with its quotes."""
    return encode_basestring(text)


def dump(value: object) -> str:
    """A parsed value as JSON."""
    return json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    """Text as the inside of a JSON string, without the quotes."""
    return encode_basestring(text)[1:-1]


def to_literal(token: str) -> str | None:
    """Return a JSON or Python scalar as JSON; None if the token is no scalar."""
    return LITERALS[token] if token in LITERALS else to_number(token)


def to_number(token: str) -> str | None:
    """Return a number as JSON, also one that Python writes as `5.` or `.5`; None if the token is none."""
    if NUMBER.fullmatch(token):
        return token
    short = _SHORT_FLOAT.fullmatch(token)
    return f"{short[1]}{short[2] or 0}.{short[3] or 0}" if short and (short[2] or short[3]) else None


def repair_escape(text: str, at: int) -> tuple[str, int]:
    """Replace a backslash that begins no JSON escape.

    Args:
        text: The inside of a JSON string.
        at: The position of the backslash.

    Returns:
        The replacement, and the number of characters it replaces.
    """
    lone = _LONE_SURROGATE.match(text, at)
    if lone:
        return "�", len(lone[0])
    return ("'", 2) if text.startswith("\\'", at) else ("\\\\", 1)
