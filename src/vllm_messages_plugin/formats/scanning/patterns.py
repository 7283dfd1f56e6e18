"""Markup patterns: tags with fields to fill in, written as one line of data, `<invoke name="{name}">`.

In a pattern a space stands for optional whitespace and a word in braces for a field of `FIELDS`; anything
else is a literal. A pattern is matched against text whose end may not have arrived yet, so there are three
outcomes: a match, no match, and "not decided yet". Whitespace and fields have a maximum length, which bounds
how much text can be undecided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator

# The fields a pattern can have, and what may stand in each.
FIELDS: Final[dict[str, str]] = {
    # A tool's name may be anything; an unknown one is checked against PLAIN_NAME.
    "name": r"[^\s<>\[\](){}\"'`|\uff5c,;=][^<>\[\](){}\"`|\uff5c\n]{0,199}",
    # The same between tags of its own.
    "tagged_name": r"[^\s<>\"`|\uff5c][^<>\"`|\uff5c\n]{0,199}",
    "identifier": r"[\w.:/@$-]{1,200}",
    "key": r"[^<>\"\n]{1,200}",
    # A key between tags of its own: anything up to a closing tag.
    "tagged_key": r"(?:[^<\n]|<(?!/)){1,200}",
    # Python has no hyphens in names, but schemas have.
    "argument": r"[^\W\d][\w-]{0,100}",
    "word": r"\w{0,16}",
    "id": r"[\w.:/@$-]{0,200}",
    "attributes": r"[^<>\n]{0,80}",
    "suffix": r"(?::\w{0,40})?",
    # Whitespace, or the sign by which byte-level tokenizers spell a space.
    "blank": r"[\s\u0120]{0,8}",
    # Whitespace, or the two characters \n that a model wrote in its place.
    "gap": r"(?:\s|\\[nrt]|\\\Z){0,64}",
}
PLAIN_NAME: Final = re.compile(FIELDS["identifier"])
SPACE_LIMIT: Final = 64
# Special tokens have a bar in them: nobody mentions them in passing.
_SPECIAL_TOKEN: Final = re.compile(r"[<\[]\S*[|\uff5c]")
_PART: Final = re.compile(r"( |\{\w+\})")
_PLACEHOLDERS: Final = {f"{{{field}}}": (field, re.compile(regex)) for field, regex in FIELDS.items()}
_PLACEHOLDERS["{tagged_name}"] = ("name", re.compile(FIELDS["tagged_name"]))
_PLACEHOLDERS["{tagged_key}"] = ("key", re.compile(FIELDS["tagged_key"]))
# The fields in which a tool's name may stand, and the names under which they are returned.
_NAME_FIELDS: Final = {"{name}": "name", "{tagged_name}": "name", "{identifier}": "identifier"}
_PLACEHOLDERS[" "] = ("", re.compile(rf"\s{{0,{SPACE_LIMIT}}}"))


@lru_cache(maxsize=256)
def _placeholder(piece: str, odd_names: frozenset[str]) -> str | tuple[str, re.Pattern[str]]:
    """The field or the literal that a piece of a pattern stands for."""
    found = _PLACEHOLDERS.get(piece, piece)
    if not odd_names or piece not in _NAME_FIELDS:
        return found
    names = sorted(odd_names, key=lambda name: (-len(name), name))
    beginnings = (name[:length] for name in names for length in range(len(name), 0, -1))
    partial = "|".join(re.escape(each) for each in dict.fromkeys(beginnings))
    whole = "|".join(map(re.escape, names))
    field = _NAME_FIELDS[piece]
    return field, re.compile(rf"(?:{partial})\Z|(?:{whole})|{FIELDS[piece[1:-1]]}")


def is_special_token(literal: str) -> bool:
    """True if a tag is a special token and never an ordinary word."""
    return _SPECIAL_TOKEN.match(literal) is not None


class NoMatch(Enum):
    """Why a pattern did not match."""

    NO = 0
    PARTIAL = 1  # the text ends before the pattern does: more text may complete it


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A match.

    Attributes:
        pattern: The pattern that matched.
        end: The position in the text just after the match.
        fields: The text of each named field.
    """

    pattern: MarkupPattern
    end: int
    fields: Mapping[str, str]


class MarkupPattern:
    """A compiled markup pattern."""

    __slots__ = ("first_literal", "parts", "source")

    def __init__(self, source: str, odd_names: frozenset[str] = frozenset()) -> None:
        """Compile a pattern.

        Args:
            source: The pattern.
            odd_names: Names of tools that a field for names would not match, and must.
        """
        self.source = source
        pieces = [piece for piece in _PART.split(source) if piece]
        self.parts: tuple[str | tuple[str, re.Pattern[str]], ...] = tuple(
            _placeholder(piece, odd_names) for piece in pieces
        )
        # The literal with which every match begins; "" if the pattern begins with a field.
        self.first_literal = next((part for part in self.parts[:1] if isinstance(part, str)), "")

    def match(self, text: str, at: int) -> PatternMatch | NoMatch:
        """Match the pattern at a position of a text whose end may not have arrived."""
        fields: dict[str, str] = {}
        for part in self.parts:
            if isinstance(part, str):
                if not text.startswith(part, at):
                    return NoMatch.PARTIAL if part.startswith(text[at : at + len(part)]) else NoMatch.NO
                at += len(part)
            else:
                field, regex = part
                run = regex.match(text, at)
                if run is None:
                    return NoMatch.PARTIAL if at >= len(text) else NoMatch.NO
                if run.end() >= len(text):
                    return NoMatch.PARTIAL
                at = run.end()
                if field:
                    fields[field] = run[0]
        return PatternMatch(self, at, fields)

    @property
    def literals(self) -> tuple[str, ...]:
        """The pattern's literal parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, str))


def match_first(
    patterns: Iterable[MarkupPattern], text: str, at: int, ended: bool = False
) -> PatternMatch | NoMatch:
    """Match several patterns at a position; the first one in their order wins.

    Args:
        patterns: The patterns to try.
        text: The text that has arrived.
        at: The position to match at.
        ended: True if no more text will arrive, so that a partial match is none.

    Returns:
        The first match; PARTIAL while a pattern before it may still match; NO if none can.
    """
    for pattern in patterns:
        found = pattern.match(text, at)
        if isinstance(found, PatternMatch) or (found is NoMatch.PARTIAL and not ended):
            return found
    return NoMatch.NO


def expect(buffer: InputBuffer, patterns: Sequence[MarkupPattern]) -> ReadGenerator[PatternMatch | None]:
    """Wait until it is decided which pattern matches here, and read it; None if none does."""
    while True:
        found = match_first(patterns, buffer.text, buffer.at, buffer.ended)
        if isinstance(found, PatternMatch):
            buffer.at = found.end
            return found
        if found is NoMatch.NO:
            if buffer.ended and match_first(patterns, buffer.text, buffer.at) is NoMatch.PARTIAL:
                buffer.starved = True
            return None
        yield


def looking_at(buffer: InputBuffer, patterns: Sequence[MarkupPattern]) -> ReadGenerator[bool]:
    """Wait until it is decided whether one of the patterns matches here, without reading it."""
    while True:
        found = match_first(patterns, buffer.text, buffer.at, buffer.ended)
        if found is not NoMatch.PARTIAL:
            return found is not NoMatch.NO
        yield
