"""Turns complete Python literals into JSON."""

import ast
import json
from typing import Final

LITERAL_LIMIT: Final = 65_536  # characters of a Python literal, which is parsed in one go


def json_of_literal(text: str) -> str | None:
    """Return a Python literal as JSON; None if the text is none, or has no form in JSON."""
    if len(text) > LITERAL_LIMIT:
        return None
    try:
        value = ast.literal_eval(text)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_listed_set)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _listed_set(value: object) -> list[object]:
    """A Python set as a list, in the order in which sets are written: JSON has no sets."""
    if not isinstance(value, set):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return sorted(value, key=repr)
