"""A shape made ready: its marks, and how to find where markup may begin.

Made once a shape, used by the scanner and the readers of sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern
from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax, ToolCallFormat

OBJECT_BODY: Final = MarkupPattern(" {")
FENCED_BODY: Final = MarkupPattern(" ```{word} {")
PYTHON_BODY: Final = MarkupPattern(" (")
LIST: Final = MarkupPattern(" [")
LIST_END: Final = MarkupPattern(" ]")
FENCE: Final = MarkupPattern(" ```{word}")
FENCE_AT_END: Final = MarkupPattern(" ```")
COMMA: Final = MarkupPattern(" ,")
SEMICOLON: Final = MarkupPattern(" ;")
# What may stand around and between calls.
NOISE: Final = (LIST, LIST_END, FENCE, FENCE_AT_END, COMMA, SEMICOLON)
BARE_HEADS: Final = ("{", "[", "```")


class CompiledCallSyntax:
    """A form's marks within its section."""

    __slots__ = (
        "bodies",
        "closers",
        "end",
        "follow_close",
        "follow_param",
        "follow_tail",
        "form",
        "head",
        "name",
        "param",
        "section_close",
        "tail",
    )

    def __init__(self, form: CallSyntax, close: str) -> None:
        self.form = form
        self.head = MarkupPattern(" " + form.head)
        self.name = re.compile(form.name)
        self.param = _mark(form.param)
        self.tail = _mark(form.tail)
        self.section_close = _mark(close)
        self.end = MarkupPattern(form.end)
        self.follow_param = _mark(form.param, form.end)
        self.follow_tail = _mark(form.tail, form.end)
        self.follow_close = _mark(close, form.end)
        tagged = (self.param, self.tail, self.section_close) if form.param else ()
        json = (PYTHON_BODY,) if form.only_python else (OBJECT_BODY, FENCED_BODY, PYTHON_BODY)
        self.bodies = (*_given(tagged), *json)
        self.closers = tuple(_given((self.tail, self.section_close)))

    @property
    def follows(self) -> tuple[MarkupPattern, ...]:
        """What ends a value: its closing tag, with what the template would write next."""
        return tuple(_given((self.follow_param, self.follow_tail, self.follow_close)))


def _mark(source: str, before: str = "") -> MarkupPattern | None:
    """A mark behind white space, or None for nothing."""
    return MarkupPattern(f"{before} {source}") if source else None


def _given(marks: Iterable[MarkupPattern | None]) -> Iterable[MarkupPattern]:
    return (mark for mark in marks if mark is not None)


class CompiledSection:
    """A section's marks."""

    __slots__ = ("close", "marks", "open", "section", "spellings", "tails")

    def __init__(self, section: SectionSyntax) -> None:
        self.section = section
        self.open = MarkupPattern(section.open) if section.open else None
        self.close = _mark(section.close)
        spellings = [CompiledCallSyntax(form, section.close) for form in section.forms]
        self.spellings = {spelling.head: spelling for spelling in spellings}
        tails = [spelling.tail for spelling in spellings] + [_mark(mark) for mark in section.between]
        self.tails = tuple(_given(tails))
        self.marks = (*_given([self.close]), *self.tails, *NOISE, *self.spellings)


@dataclass(frozen=True, slots=True)
class SectionStart:
    """Where a literal leads: to a chapter, whose opening mark is then read, unless a call stands alone."""

    chapter: CompiledSection
    alone: bool
    bare: bool


class LiteralFinder:
    """Finds the first of several literals, and knows what of a text may yet become one."""

    def __init__(self, literals: Iterable[str]) -> None:
        words = sorted(set(literals), key=len, reverse=True)
        self._words = words
        self._search = re.compile("|".join(map(re.escape, words)) or r"(?!)")
        self._beginnings = {word[:length] for word in words for length in range(1, len(word))}
        self._longest = max(map(len, words), default=1)
        firsts = "".join({re.escape(word[0]) for word in words})
        self._firsts = re.compile(f"[{firsts}]" if firsts else r"(?!)")

    def find(self, text: str, at: int) -> tuple[int, str]:
        """Where markup may begin, and the literal that stands there; "" while it is not whole."""
        found = self._search.search(text, at)
        begun = self._begun(text, at)
        if found is None or begun < found.start():
            return begun, ""
        place, word = found.start(), found[0]
        rest = text[place : place + self._longest]
        longer = any(len(other) > len(rest) and other.startswith(rest) for other in self._words)
        return place, "" if longer else word

    def at_end(self, text: str, at: int) -> tuple[int, str]:
        """The same, when nothing will follow."""
        found = self._search.search(text, at)
        return (found.start(), found[0]) if found else (len(text), "")

    def _begun(self, text: str, at: int) -> int:
        place = max(at, len(text) - self._longest + 1)
        while first := self._firsts.search(text, place):
            if text[first.start() :] in self._beginnings:
                return first.start()
            place = first.start() + 1
        return len(text)


class CompiledFormat:
    """A shape's chapters, by the literals that lead to them."""

    def __init__(self, shape: ToolCallFormat) -> None:
        self.triggers: dict[str, SectionStart] = {}
        self.closes: set[str] = set()
        for section in shape.sections:
            chapter = CompiledSection(section)
            self._lead(chapter)
            self.closes |= {mark.literals[0] for mark in _given([chapter.close])}

    def _lead(self, chapter: CompiledSection) -> None:
        if chapter.open:
            self.triggers.setdefault(chapter.open.head, SectionStart(chapter, alone=False, bare=False))
        else:
            for head in BARE_HEADS:
                self.triggers.setdefault(head, SectionStart(chapter, alone=True, bare=True))
        for spelling in chapter.spellings.values():
            if spelling.form.alone:
                head = MarkupPattern(spelling.form.head).head
                self.triggers.setdefault(head, SectionStart(chapter, alone=True, bare=False))


@lru_cache(maxsize=64)
def compiled_format(shape: ToolCallFormat) -> CompiledFormat:
    """The grammar of a shape, made once."""
    return CompiledFormat(shape)
