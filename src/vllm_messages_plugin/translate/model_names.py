"""Finds the served model for the name that a request gives."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

ONE_MILLION = "[1m]"
"""Suffix by which Claude Code asks for a long context window."""


def resolve(requested: str, served: Sequence[str], aliases: str) -> str | None:
    """Return the served name for a requested one.

    Args:
        requested: The name in the request.
        served: The served names, the base model first.
        aliases: Comma-separated patterns, each optionally `pattern=served name`; a pattern alone stands for
            the first served name.

    Returns:
        The served name; None if there is none.
    """
    names = (requested, requested.removesuffix(ONE_MILLION))
    for name in names:
        if name in served:
            return name
    for entry in filter(None, (part.strip() for part in aliases.split(","))):
        pattern, _, target = entry.partition("=")
        if any(fnmatchcase(name, pattern.strip()) for name in names):
            found = target.strip() or next(iter(served), "")
            return found if found in served else None
    return None
