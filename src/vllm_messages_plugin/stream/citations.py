"""Reads the tags of citations out of a reply's text while it is generated.

The model writes `<cite n="3">statement</cite>`, where 3 is the number of a passage in the prompt; `n` may
hold several numbers and ranges. `CitationReader` takes the tags out. What stands between them becomes a text
block of its own, which carries the citations of the numbers. The rules for what a model may get wrong:

- A number that does not exist is dropped, and so is a tag without any number that exists; its text stays.
- A tag without text (`<cite n="3"></cite>`, `<cite n="3"/>`) cites the text before it.
- A tag that begins inside another one ends that one; one that is never closed ends with the text.
- The number tag of a passage (`<s3>`) that the model copies from the prompt is dropped.
- Any other markup is text. A tag that the reply's end cuts is dropped.

A piece of text that may be the beginning of a tag is held back until the next piece decides it, so the result
does not depend on how the text is split.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
    EngineCitations,
    EngineDelta,
    EngineText,
)
from vllm_messages_plugin.stream.sources import close

Locate = Callable[[int, int], Mapping[str, Any] | None]
"""Returns the citation of a range of passages by their numbers, or None if there is no such range."""

OPENING: Final = '<cite n="'
CLOSING: Final = "</cite>"
MAX_NUMBERS: Final = 200
"""Characters of the numbers of a tag."""
MAX_CITATIONS: Final = 32
"""Citations of one tag."""

_NUMBERS: Final = rf"[0-9,\s-]{{0,{MAX_NUMBERS}}}"
_TAG: Final = re.compile(rf"""<cite n=["']?({_NUMBERS})["']?\s?(/?)>|(</cite>)|<s([0-9]{{1,9}})>""")
_TAG_BEGINNING: Final = re.compile(rf"""<cite n=["']?{_NUMBERS}["']?\s?/?|<s[0-9]{{0,9}}""")
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?")
_CUT_TAGS: Final = ("<cite n=", "</ci")
"""A tag that the reply's end cut is taken for one from here on."""


class CitationReader:
    """Turns the text of one reply into text and cited text. Feed all of it, then call `finish`."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._held = ""
        self._inside = False  # between a tag and its end
        self._cites = False  # the text since the tag is a block with citations
        self._pending: list[Mapping[str, Any]] = []  # citations of a tag that has no text yet
        self._gap = ""  # white space behind that tag

    def feed(self, text: str) -> list[EngineDelta]:
        """Return the deltas of a piece of text."""
        return list(self._read(self._held + text))

    def finish(self) -> list[EngineDelta]:
        """Return what is still held back, and end the open tag."""
        held, self._held = self._held, ""
        found = list(self._text("" if held.startswith(_CUT_TAGS) else held))
        return [*found, *self._end_tag()]

    def _read(self, text: str) -> Iterator[EngineDelta]:
        done = 0
        for match in _TAG.finditer(text):
            yield from self._text(text[done : match.start()])
            done = match.end()
            yield from self._tag(match)
        rest = text[done:]
        keep = _length_to_hold(rest)
        self._held = rest[len(rest) - keep :]
        yield from self._text(rest[: len(rest) - keep])

    def _tag(self, match: re.Match[str]) -> Iterator[EngineDelta]:
        numbers, empty, closing, passage = match.groups()
        if passage is not None:
            if self._locate(int(passage), int(passage)) is None:
                yield from self._text(match[0])
        elif closing is None:
            yield from self._end_tag()
            self._inside = True
            self._pending = self._citations(numbers)
            if empty:
                yield from self._end_tag()
        elif self._inside:
            yield from self._end_tag()
        else:
            yield from self._text(match[0])

    def _citations(self, numbers: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for match in _RANGE.finditer(numbers):
            first = int(match[1])
            citation = self._locate(first, int(match[2] or first))
            if citation is not None and citation not in found and len(found) < MAX_CITATIONS:
                found.append(citation)
        return found

    def _text(self, text: str) -> Iterator[EngineDelta]:
        if not text:
            return
        if not self._pending:
            yield EngineText(text)
            return
        self._gap += text
        if not self._gap.isspace():
            yield CitedText(self._gap, self._pending)
            self._pending, self._gap = [], ""
            self._cites = True

    def _end_tag(self) -> Iterator[EngineDelta]:
        if self._pending:
            yield EngineCitations(self._pending)
        if self._gap:
            yield EngineText(self._gap)
        if self._cites:
            yield CitedTextEnd()
        self._inside, self._cites, self._pending, self._gap = False, False, [], ""


def _length_to_hold(text: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    start = text.rfind("<", max(len(text) - MAX_NUMBERS - 20, 0))
    if start < 0:
        return 0
    tail = text[start:]
    begins = OPENING[:-1].startswith(tail) or CLOSING.startswith(tail) or _TAG_BEGINNING.fullmatch(tail)
    return len(tail) if begins else 0


async def read_citations(deltas: AsyncIterator[EngineDelta], locate: Locate) -> AsyncIterator[EngineDelta]:
    """Yield the deltas of a reply with the citations that its text names.

    Args:
        deltas: The deltas of the engine. They are closed with this iterator.
        locate: Returns the citation of a range of passages.
    """
    reader = CitationReader(locate)
    try:
        async for delta in deltas:
            if isinstance(delta, EngineText):
                for found in reader.feed(delta.text):
                    yield found
                continue
            for found in reader.finish():
                yield found
            yield delta
    finally:
        await close(deltas)
