"""Which served model answers to the name a client asked for. Pure; called by `http`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

ONE_MILLION = "[1m]"
"""Suffix by which Claude Code asks for a long context window."""


def resolve(asked: str, served: Sequence[str], aliases: str) -> str | None:
    """The served name for `asked`; None if there is none.

    `aliases` is a comma-separated list of patterns, each optionally `pattern=served name`; a pattern
    alone stands for the first served name.
    """
    names = (asked, asked.removesuffix(ONE_MILLION))
    for name in names:
        if name in served:
            return name
    for entry in filter(None, (part.strip() for part in aliases.split(","))):
        pattern, _, target = entry.partition("=")
        if any(fnmatchcase(name, pattern.strip()) for name in names):
            found = target.strip() or next(iter(served), "")
            return found if found in served else None
    return None
