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

from vllm_messages_plugin.formats.scanning.buffer import Reading, Tape

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


class Miss(Enum):
    """No match: surely not, or not yet."""

    NO = 0
    PERHAPS = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A match: which mark, where it ends, and its blanks."""

    mark: Mark
    end: int
    filled: Mapping[str, str]


class Mark:
    """A piece of markup, ready to be matched."""

    __slots__ = ("head", "parts", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        pieces = [piece for piece in _PART.split(source) if piece]
        self.parts: tuple[str | tuple[str, re.Pattern[str]], ...] = tuple(
            _FILL.get(piece, piece) for piece in pieces
        )
        self.head = next((part for part in self.parts[:1] if isinstance(part, str)), "")

    def match(self, text: str, at: int) -> Found | Miss:
        """Match the mark at a position."""
        filled: dict[str, str] = {}
        for part in self.parts:
            if isinstance(part, str):
                if not text.startswith(part, at):
                    return Miss.PERHAPS if part.startswith(text[at : at + len(part)]) else Miss.NO
                at += len(part)
            else:
                blank, pattern = part
                run = pattern.match(text, at)
                if run is None:
                    return Miss.PERHAPS if at >= len(text) else Miss.NO
                if run.end() >= len(text):
                    return Miss.PERHAPS
                at = run.end()
                if blank:
                    filled[blank] = run[0]
        return Found(self, at, filled)

    @property
    def literals(self) -> tuple[str, ...]:
        """The fixed pieces."""
        return tuple(part for part in self.parts if isinstance(part, str))


def match_first(marks: Iterable[Mark], text: str, at: int, ended: bool = False) -> Found | Miss:
    """The first of several marks that matches; perhaps, while one before it still may."""
    for mark in marks:
        found = mark.match(text, at)
        if isinstance(found, Found) or (found is Miss.PERHAPS and not ended):
            return found
    return Miss.NO


def expect(tape: Tape, marks: Sequence[Mark]) -> Reading[Found | None]:
    """Wait until it is sure which mark stands here, and read it; None if none does."""
    while True:
        found = match_first(marks, tape.text, tape.at, tape.ended)
        if isinstance(found, Found):
            tape.at = found.end
            return found
        if found is Miss.NO:
            return None
        yield


def stands(tape: Tape, marks: Sequence[Mark]) -> Reading[bool]:
    """Wait until it is sure whether one of some marks stands here, and leave it there."""
    while True:
        found = match_first(marks, tape.text, tape.at, tape.ended)
        if found is not Miss.PERHAPS:
            return found is not Miss.NO
        yield
