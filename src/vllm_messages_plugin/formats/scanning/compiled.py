"""Compiles a tool-call format: its patterns, and the search for positions where markup may start.

Text between calls is searched for the literals with which markup begins. They are joined into one regular
expression, so that ordinary text is passed at the speed of the regex engine, whatever the number of formats.
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
# Punctuation that may stand around and between calls.
PUNCTUATION: Final = (LIST, LIST_END, FENCE, FENCE_AT_END, COMMA, SEMICOLON)
# With what a section without an opening tag may begin.
UNTAGGED_STARTS: Final = ("{", "[", "```")


class CompiledCallSyntax:
    """The patterns of a call syntax within its section.

    Attributes:
        source: The syntax that was compiled.
        open: Begins the call.
        name: Selects the tool's name from the {name} field.
        arg_open, arg_close, close: As in the source; None where the source has none.
        section_close: The section's closing tag.
        next_arg, end_call, end_section: An argument's closing tag together with what the template writes
            after it. A value ends only at one of these.
        bodies: What may follow `open`.
        closing_tags: Tags before which a missing last brace is supplied.
    """

    __slots__ = (
        "arg_close",
        "arg_open",
        "bodies",
        "close",
        "closing_tags",
        "end_call",
        "end_section",
        "name",
        "next_arg",
        "open",
        "section_close",
        "source",
        "value_ends",
    )

    def __init__(self, source: CallSyntax, section_close: str) -> None:
        self.source = source
        self.open = MarkupPattern(" " + source.open)
        self.name = re.compile(source.name)
        self.arg_open = _pattern(source.arg_open)
        self.arg_close = MarkupPattern(source.arg_close)
        self.close = _pattern(source.close)
        self.section_close = _pattern(section_close)
        self.next_arg = _pattern(source.arg_open, source.arg_close)
        self.end_call = _pattern(source.close, source.arg_close)
        self.end_section = _pattern(section_close, source.arg_close)
        self.value_ends = tuple(_present((self.next_arg, self.end_call, self.end_section)))
        tagged = (self.arg_open, self.close, self.section_close) if source.arg_open else ()
        untagged = (PYTHON_BODY,) if source.only_python else (OBJECT_BODY, FENCED_BODY, PYTHON_BODY)
        self.bodies = (*_present(tagged), *untagged)
        self.closing_tags = tuple(_present((self.close, self.section_close)))


def _pattern(source: str, before: str = "") -> MarkupPattern | None:
    """Compile a tag with optional whitespace before it; None if there is no tag."""
    return MarkupPattern(f"{before} {source}") if source else None


def _present(patterns: Iterable[MarkupPattern | None]) -> Iterable[MarkupPattern]:
    return (pattern for pattern in patterns if pattern is not None)


class CompiledSection:
    """The patterns of a section.

    Attributes:
        source: The section that was compiled.
        open, close: Its tags; None where it has none.
        syntaxes: The compiled call syntaxes, by the pattern that begins a call.
        call_closings: Tags that may follow a call without ending the section.
        patterns: Everything that may stand in the section, in the order in which it is tried.
    """

    __slots__ = ("call_closings", "close", "open", "patterns", "source", "syntaxes")

    def __init__(self, source: SectionSyntax) -> None:
        self.source = source
        self.open = MarkupPattern(source.open) if source.open else None
        self.close = _pattern(source.close)
        syntaxes = [CompiledCallSyntax(call, source.close) for call in source.calls]
        self.syntaxes = {syntax.open: syntax for syntax in syntaxes}
        closings = [syntax.close for syntax in syntaxes] + [_pattern(tag) for tag in source.between]
        self.call_closings = tuple(_present(closings))
        self.patterns = (*_present([self.close]), *self.call_closings, *PUNCTUATION, *self.syntaxes)


@dataclass(frozen=True, slots=True)
class SectionStart:
    """The section that a literal may start.

    Attributes:
        section: The section.
        alone: A call may appear without the section's opening tag.
        bare: The section has no opening tag.
    """

    section: CompiledSection
    alone: bool
    bare: bool


class LiteralFinder:
    """Finds the first of several literals in text that arrives in pieces."""

    def __init__(self, literals: Iterable[str]) -> None:
        words = sorted(set(literals), key=len, reverse=True)
        self._words = words
        self._search = re.compile("|".join(map(re.escape, words)) or r"(?!)")
        self._prefixes = {word[:length] for word in words for length in range(1, len(word))}
        self._longest = max(map(len, words), default=1)
        first_chars = "".join({re.escape(word[0]) for word in words})
        self._first_chars = re.compile(f"[{first_chars}]" if first_chars else r"(?!)")

    def find(self, text: str, at: int) -> tuple[int, str]:
        """Find the first literal, while more text may arrive.

        Args:
            text: The text that has arrived.
            at: Where to start.

        Returns:
            The position up to which the text holds no literal and no beginning of one, and the literal that
            stands there; "" if none does or it is not decided yet.
        """
        if self._first_chars.search(text, at) is None:  # nearly every token of a text
            return len(text), ""
        found = self._search.search(text, at)
        partial = self._partial(text, at)
        if found is None or partial < found.start():
            return partial, ""
        place, word = found.start(), found[0]
        rest = text[place : place + self._longest]
        longer = any(len(other) > len(rest) and other.startswith(rest) for other in self._words)
        return place, "" if longer else word

    def find_at_end(self, text: str, at: int) -> tuple[int, str]:
        """Find the first literal in text that is complete."""
        found = self._search.search(text, at)
        return (found.start(), found[0]) if found else (len(text), "")

    def _partial(self, text: str, at: int) -> int:
        """The position of the unfinished literal at the end of the text, or the text's length."""
        place = max(at, len(text) - self._longest + 1)
        while first := self._first_chars.search(text, place):
            if text[first.start() :] in self._prefixes:
                return first.start()
            place = first.start() + 1
        return len(text)


class CompiledFormat:
    """A format's compiled sections.

    Attributes:
        triggers: For each literal that may start a section, the section.
        closings: The literals with which closing tags of sections begin.
    """

    def __init__(self, call_format: ToolCallFormat) -> None:
        self.triggers: dict[str, SectionStart] = {}
        self.closings: set[str] = set()
        for source in call_format.sections:
            section = CompiledSection(source)
            self._add_triggers(section)
            self.closings |= {pattern.literals[0] for pattern in _present([section.close])}

    def _add_triggers(self, section: CompiledSection) -> None:
        if section.open:
            literal = section.open.first_literal
            self.triggers.setdefault(literal, SectionStart(section, alone=False, bare=False))
        else:
            for literal in UNTAGGED_STARTS:
                self.triggers.setdefault(literal, SectionStart(section, alone=True, bare=True))
        for syntax in section.syntaxes.values():
            if syntax.source.alone:
                literal = MarkupPattern(syntax.source.open).first_literal
                self.triggers.setdefault(literal, SectionStart(section, alone=True, bare=False))


@lru_cache(maxsize=64)
def compiled_format(call_format: ToolCallFormat) -> CompiledFormat:
    """Compile a format, once."""
    return CompiledFormat(call_format)
