"""Compiles a tool-call format: its patterns, and the literals by which text is searched for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.literal_finder import LiteralFinder
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, is_special_token
from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax, ToolCallFormat

OBJECT_BODY: Final = MarkupPattern("{gap}{")
FENCED_BODY: Final = MarkupPattern("{gap}```{word}{gap}{")
FENCED_TEXT_BODY: Final = MarkupPattern('{gap}```{word}{gap}"')
TEXT_BODY: Final = MarkupPattern('{gap}"')
PYTHON_BODY: Final = MarkupPattern(" (")
LIST: Final = MarkupPattern("{gap}[")
LIST_END: Final = MarkupPattern("{gap}]")
FENCE: Final = MarkupPattern("{gap}```{word}")
FENCE_AT_END: Final = MarkupPattern("{gap}```")
COMMA: Final = MarkupPattern("{gap},")
SEMICOLON: Final = MarkupPattern(" ;")
BRACE_END: Final = MarkupPattern("{gap}}")
# Punctuation that may stand around and between calls.
PUNCTUATION: Final = (LIST, LIST_END, FENCE, FENCE_AT_END, COMMA, SEMICOLON, BRACE_END)
# With what a section without an opening tag may begin.
UNTAGGED_STARTS: Final = ("{", "[", "```")
CLOSING: Final = "</"
# A closing tag, right or wrong; DeepSeek V4.1 writes a space behind the prefix of its tags.
CLOSING_TAG: Final = r"</((?:\uff5c\w{1,20}\uff5c )?[^<>\s/]{0,40})\s?/?>?"
# Stand for the end of a section and of a call whose closing tags are missing or mangled.
BROKEN_SECTION_END: Final = MarkupPattern("")
BROKEN_CALL_END: Final = MarkupPattern("")


class CompiledCallSyntax:
    """The patterns of a call syntax within its section.

    Attributes:
        source: The syntax that was compiled.
        open: Begins the call.
        name: Selects the tool's name from the {name} field.
        bodies: What may follow `open`.
        closing_tags: Tags before which a missing last brace is supplied.
        value_ends: An argument's closing tag together with what the template writes after it. A value ends
            for certain at one of these.
        open_ends: What follows a value, without the closing tag, which the model may have left out.
        closing_start: Matches a closing tag that may end a value; None if any literal of the markup may.
        value_finder: Finds where in a value one of these may stand.
        arg_end: An argument's closing tag; None if arguments are not tagged.
        args: All patterns that begin an argument.
        closings: The closing tags of call and section, also mangled.
        wrong_arg_end: Matches a closing tag that a model wrote in the place of an argument's.
        section_ends: All patterns that end the section.
        call_starts: What begins a call of this section in text.
        scan_finder: Finds where in text a value may end or a call may begin.
    """

    __slots__ = (
        "arg_end",
        "args",
        "bodies",
        "call_starts",
        "closing_start",
        "closing_tags",
        "closings",
        "name",
        "open",
        "open_ends",
        "scan_finder",
        "section_ends",
        "source",
        "value_ends",
        "value_finder",
        "wrong_arg_end",
    )

    def __init__(
        self, source: CallSyntax, section: SectionSyntax, odd_names: frozenset[str] = frozenset()
    ) -> None:
        self.source = source
        self.open = MarkupPattern("{gap}" + source.open, odd_names)
        self.name = re.compile(source.name)
        openings = (source.arg_open, *source.arg_open_variants) if source.arg_open else ()
        args = tuple(MarkupPattern("{gap}" + opening) for opening in openings)
        # Without its last tag, an opening may be the text of a value.
        whole = (opening for opening in openings if not opening.endswith(" "))
        next_args = [_pattern(opening, source.arg_close) for opening in whole]
        open_args = tuple(map(MarkupPattern, openings))
        tags = (section.close, source.close, *section.between)
        ends = [_pattern(tag, source.arg_close) for tag in tags]
        open_ends = [MarkupPattern(tag) if tag else None for tag in tags]
        bodies = [_pattern(tag, "{gap}") for tag in tags]
        self.value_ends = tuple(_present((*next_args, *ends)))
        self.open_ends = (*open_args, *_present(open_ends))
        self.args = frozenset((*args, *_present(next_args), *open_args))
        self.section_ends = frozenset((*_present((ends[0], open_ends[0], bodies[0])), BROKEN_SECTION_END))
        self.arg_end = MarkupPattern(source.arg_close) if source.arg_close else None
        self.closings = ClosingTags(section)
        self.wrong_arg_end = re.compile(_wrong_arg_end(source.arg_close) + r"\s{0,64}")
        untagged = (
            (PYTHON_BODY,)
            if source.only_python
            else (OBJECT_BODY, FENCED_BODY, PYTHON_BODY, TEXT_BODY, FENCED_TEXT_BODY)
        )
        closings = () if source.only_python else _present(bodies)
        self.bodies = (*args, *closings, *untagged)
        self.closing_tags = tuple(_present(_pattern(tag) for tag in (source.close, section.close)))
        self.call_starts: tuple[MarkupPattern, ...] = ()
        self.value_finder = self.scan_finder = LiteralFinder(())
        self.closing_start: re.Pattern[str] | None = None

    def add_call_starts(self, patterns: tuple[MarkupPattern, ...]) -> None:
        """Set what begins a call of this syntax's section in text."""
        self.call_starts = patterns
        self.value_finder = LiteralFinder(_value_literals(self))
        self.closing_start = _closing_start(self)
        literals = {pattern.first_literal for pattern in patterns}
        self.scan_finder = LiteralFinder((*_value_literals(self), *literals))


class ClosingTags:
    """The closing tags of a section and of its calls, and how models mangle them.

    Attributes:
        words: How tags such as `</call>` begin, longest first, each with whether it ends the section.
        tokens: The names of special tokens, what matches them with bars or the end missing, and the same.
        opening: How the section's opening tag begins, which is never a mangled closing tag.
    """

    __slots__ = ("opening", "tokens", "words")

    def __init__(self, section: SectionSyntax) -> None:
        tags = dict.fromkeys((*(call.close for call in section.calls), *section.between), False)
        tags[section.close] = True
        words = {
            tag.split("{", 1)[0].rstrip("> "): ends for tag, ends in tags.items() if tag.startswith(CLOSING)
        }
        self.words = tuple(sorted(words.items(), key=lambda word: len(word[0]), reverse=True))
        self.tokens = tuple(
            (token_name(tag), re.compile(_mangled_token(tag)), ends)
            for tag, ends in tags.items()
            if tag.startswith("<") and not tag.startswith(CLOSING)
        )
        self.opening = MarkupPattern(section.open).first_literal if section.open else ""

    def __bool__(self) -> bool:
        return bool(self.words or self.tokens)


def token_name(tag: str) -> str:
    """The name of a special token, as all its spellings have it in common."""
    return tag.strip("<>|\uff5c").replace("\u2581", "_")


def _mangled_token(tag: str) -> str:
    """A regular expression for a special token of which a bar, or the end, is missing, but not every bar."""
    name = re.escape(token_name(tag)).replace("_", "[\u2581_ ]")
    if not is_special_token(tag):
        return rf"<{name}(?!\w)\s?>?"
    bars = r"[|\uff5c]"
    return rf"<(?={bars}|{name}(?:{bars}|\Z)){bars}{{0,2}}{name}(?!\w){bars}{{0,2}}\s?>?"


def _wrong_arg_end(arg_close: str) -> str:
    """A regular expression for what may stand in the place of an argument's closing tag."""
    is_token = is_special_token(arg_close) and not arg_close.startswith(CLOSING)
    return f"({_mangled_token(arg_close)})" if is_token else CLOSING_TAG


def _value_literals(syntax: CompiledCallSyntax) -> list[str]:
    """The literals at which a value may end. "</" stands for all closing tags, also wrong ones."""
    patterns = (*syntax.value_ends, *syntax.open_ends)
    literals = {pattern.first_literal for pattern in patterns}
    arg_close = syntax.source.arg_close
    if not arg_close:
        return sorted(literals)
    if not arg_close.startswith(CLOSING):
        begin = arg_close.rstrip("|>")
        starts = {start.first_literal for start in syntax.call_starts}
        return sorted(literals | starts | {begin, begin.replace("<|", "<")})
    return [CLOSING, *sorted(literal for literal in literals if not literal.startswith(CLOSING))]


def _closing_start(syntax: CompiledCallSyntax) -> re.Pattern[str] | None:
    """What a closing tag in a value must look like to end it: one of the format's, or one before a tag.

    It decides at once on most closing tags in source code, such as `</b>` in a line of HTML.
    """
    if syntax.value_finder.first_char != CLOSING[0]:
        return None
    closings = {pattern.first_literal for pattern in (*syntax.open_ends, *_present([syntax.arg_end]))}
    words = [re.escape(word) for word in sorted(closings) if word.startswith(CLOSING)]
    return re.compile("|".join((*words, rf"{CLOSING_TAG}(?:\s|\\[nrt]){{0,64}}(?:<|\\?\Z)")))


def _pattern(source: str, before: str = "") -> MarkupPattern | None:
    """Compile a tag with optional whitespace before it; None if there is no tag."""
    gap = "{gap}" if before and before != "{gap}" else " "
    return MarkupPattern(f"{before}{gap}{source}") if source else None


def _present(patterns: Iterable[MarkupPattern | None]) -> Iterable[MarkupPattern]:
    return (pattern for pattern in patterns if pattern is not None)


class CompiledSection:
    """The patterns of a section.

    Attributes:
        source: The section that was compiled.
        open, close: Its tags; None where it has none.
        syntaxes: The compiled call syntaxes, by the pattern that begins a call.
        closings: Its closing tags and those of its calls, also mangled.
        call_closings: Tags that may follow a call without ending the section.
        starts: The literals with which a call may begin in text.
        skip_finder: Finds where the rest of a broken call may end.
        patterns: Everything that may stand in the section, in the order in which it is tried.
    """

    __slots__ = (
        "call_closings",
        "close",
        "closings",
        "open",
        "patterns",
        "skip_finder",
        "source",
        "starts",
        "syntaxes",
    )

    def __init__(self, source: SectionSyntax, odd_names: frozenset[str]) -> None:
        self.source = source
        self.open = MarkupPattern(source.open) if source.open else None
        self.close = _pattern(source.close, "{gap}")
        self.closings = ClosingTags(source)
        syntaxes = [CompiledCallSyntax(call, source, odd_names) for call in source.calls]
        self.syntaxes = {syntax.open: syntax for syntax in syntaxes}
        call_starts = tuple(_call_starts(source, odd_names))
        for syntax in syntaxes:
            syntax.add_call_starts(call_starts)
        tags = dict.fromkeys((*(call.close for call in source.calls), *source.between))
        self.call_closings = tuple(_present(_pattern(tag, "{gap}") for tag in tags))
        self.starts = frozenset(start.first_literal for start in call_starts) - {""}
        closings = {pattern.literals[0] for pattern in _present([self.close, *self.call_closings])}
        self.skip_finder = LiteralFinder((closings or {"\n"}) | self.starts)
        self.patterns = (*_present([self.close]), *self.call_closings, *PUNCTUATION, *self.syntaxes)


def _call_starts(section: SectionSyntax, odd_names: frozenset[str]) -> Iterable[MarkupPattern]:
    """What begins a call in text: the section's opening tag with a call's, or a call's alone."""
    for call in section.calls:
        opening = call.open if call.kind == "call" else '{ "name" : "{name}"'
        if section.open:
            yield MarkupPattern(f"{section.open}{{gap}}{opening}", odd_names)
        if call.alone:
            yield MarkupPattern(opening, odd_names)


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


class CompiledFormat:
    """A format's compiled sections.

    Attributes:
        triggers: For each literal that may start a section, the section.
        closings: The literals with which closing tags of sections begin.
        own_literals: The literals of the format's own tags, leaving out those of foreign sections.
        closing_tags: All closing tags, of sections and of calls, by the literal with which each begins.
    """

    def __init__(self, call_format: ToolCallFormat, odd_names: frozenset[str]) -> None:
        self.triggers: dict[str, SectionStart] = {}
        self.closings: set[str] = set()
        self.own_literals: tuple[str, ...] = call_format.markers
        self.closing_tags: dict[str, list[MarkupPattern]] = {}
        for source in call_format.sections:
            section = CompiledSection(source, odd_names)
            self._add_triggers(section)
            self.closings |= {pattern.literals[0] for pattern in _present([section.close])}
            for tag in dict.fromkeys((source.close, *(call.close for call in source.calls), *source.between)):
                if tag:
                    pattern = MarkupPattern(tag)
                    self.closing_tags.setdefault(pattern.first_literal, []).append(pattern)

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
                self.triggers.setdefault(
                    literal, SectionStart(section, alone=True, bare=not section.source.open)
                )


@cache
def section_tags() -> tuple[frozenset[str], frozenset[str]]:
    """The opening and the closing tags of all formats' sections, without fields."""
    sections = [section for call_format in FORMATS.values() for section in call_format.sections]
    return _plain_tags(section.open for section in sections), _plain_tags(
        section.close for section in sections
    )


def _plain_tags(tags: Iterable[str]) -> frozenset[str]:
    return frozenset(tag for tag in tags if tag.startswith("<") and MarkupPattern(tag).literals == (tag,))


@lru_cache(maxsize=64)
def compiled_format(call_format: ToolCallFormat, odd_names: frozenset[str] = frozenset()) -> CompiledFormat:
    """Compile a format, once.

    Args:
        call_format: The format.
        odd_names: Names of offered tools that have spaces, brackets or other characters unusual in names.
    """
    return CompiledFormat(call_format, odd_names)
