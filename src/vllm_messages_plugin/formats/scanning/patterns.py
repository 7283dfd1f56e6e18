"""Markup with blanks to fill, as a line of data: `<invoke name="{name}">`.

A space stands for white space, which may be missing; a word in braces for a blank of `BLANKS`. A mark
is matched against text of which the end may not have come yet, so the answer can be "perhaps".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator

# How long a blank may be. Each is bounded, and so is what a reader holds back to decide.
BLANKS: Final[dict[str, str]] = {
    "name": r"[\w.:/@$-]{1,200}",
    "key": r"[^<>\"\n]{1,200}",
    "argument": r"[^\W\d]\w{0,100}",
    "word": r"\w{0,16}",
    "id": r"[\w.:/@$-]{0,200}",
    "attributes": r"[^<>\n]{0,80}",
    "suffix": r"(?::\w{0,40})?",
}
SPACE_LIMIT: Final = 64
_PART: Final = re.compile(r"( |\{\w+\})")
_FILL: Final = {f"{{{blank}}}": (blank, re.compile(pattern)) for blank, pattern in BLANKS.items()}
_FILL[" "] = ("", re.compile(rf"\s{{0,{SPACE_LIMIT}}}"))


class NoMatch(Enum):
    """No match: surely not, or not yet."""

    NO = 0
    PARTIAL = 1


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A match: which mark, where it ends, and its blanks."""

    mark: MarkupPattern
    end: int
    filled: Mapping[str, str]


class MarkupPattern:
    """A piece of markup, ready to be matched."""

    __slots__ = ("head", "parts", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        pieces = [piece for piece in _PART.split(source) if piece]
        self.parts: tuple[str | tuple[str, re.Pattern[str]], ...] = tuple(
            _FILL.get(piece, piece) for piece in pieces
        )
        self.head = next((part for part in self.parts[:1] if isinstance(part, str)), "")

    def match(self, text: str, at: int) -> PatternMatch | NoMatch:
        """Match the mark at a position."""
        filled: dict[str, str] = {}
        for part in self.parts:
            if isinstance(part, str):
                if not text.startswith(part, at):
                    return NoMatch.PARTIAL if part.startswith(text[at : at + len(part)]) else NoMatch.NO
                at += len(part)
            else:
                blank, pattern = part
                run = pattern.match(text, at)
                if run is None:
                    return NoMatch.PARTIAL if at >= len(text) else NoMatch.NO
                if run.end() >= len(text):
                    return NoMatch.PARTIAL
                at = run.end()
                if blank:
                    filled[blank] = run[0]
        return PatternMatch(self, at, filled)

    @property
    def literals(self) -> tuple[str, ...]:
        """The fixed pieces."""
        return tuple(part for part in self.parts if isinstance(part, str))


def match_first(
    marks: Iterable[MarkupPattern], text: str, at: int, ended: bool = False
) -> PatternMatch | NoMatch:
    """The first of several marks that matches; perhaps, while one before it still may."""
    for mark in marks:
        found = mark.match(text, at)
        if isinstance(found, PatternMatch) or (found is NoMatch.PARTIAL and not ended):
            return found
    return NoMatch.NO


def expect(tape: InputBuffer, marks: Sequence[MarkupPattern]) -> ReadGenerator[PatternMatch | None]:
    """Wait until it is sure which mark stands here, and read it; None if none does."""
    while True:
        found = match_first(marks, tape.text, tape.at, tape.ended)
        if isinstance(found, PatternMatch):
            tape.at = found.end
            return found
        if found is NoMatch.NO:
            return None
        yield


def stands(tape: InputBuffer, marks: Sequence[MarkupPattern]) -> ReadGenerator[bool]:
    """Wait until it is sure whether one of some marks stands here, and leave it there."""
    while True:
        found = match_first(marks, tape.text, tape.at, tape.ended)
        if found is not NoMatch.PARTIAL:
            return found is not NoMatch.NO
        yield
