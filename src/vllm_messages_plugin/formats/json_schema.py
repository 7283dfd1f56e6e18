"""Resolves `$ref`: the one place that follows a JSON pointer within a schema.

Tool schemas come from clients, so the work is bounded: a pointer has at most `STEPS_LIMIT` steps and
`CHARACTERS_LIMIT` characters. A pointer to a `$ref` is followed one step at a time by the caller, which knows
what it has already visited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

STEPS_LIMIT: Final = 64
CHARACTERS_LIMIT: Final = 8_192
_INDEX_DIGITS_LIMIT: Final = 9


def resolve_reference(reference: str, root: object) -> object | None:
    """Return what a local `$ref` points to.

    Args:
        reference: The value of `$ref`: a JSON pointer in URI form (RFC 6901, section 6), such as
            `#/$defs/node`, `#/anyOf/0` or `#/definitions/a~1b%20c`; `#` is the whole schema.
        root: The schema in which the reference stands.

    Returns:
        The value that the pointer names; None if it names nothing, or if the reference is not local.
    """
    if not reference.startswith("#") or len(reference) > CHARACTERS_LIMIT:
        return None
    steps = reference[1:].split("/", STEPS_LIMIT + 1)[1:]
    if len(steps) > STEPS_LIMIT:
        return None
    place: object | None = root
    for step in steps:
        place = _child(place, unquote(step).replace("~1", "/").replace("~0", "~"))
    return place


def _child(place: object, key: str) -> object | None:
    if isinstance(place, Mapping):
        return place.get(key)
    if isinstance(place, Sequence) and not isinstance(place, str):
        is_index = key.isascii() and key.isdecimal() and len(key) <= _INDEX_DIGITS_LIMIT
        return place[int(key)] if is_index and int(key) < len(place) else None
    return None
