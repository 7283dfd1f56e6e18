"""Finds where a call ends whose own closing tags are missing or mangled.

The place to look at is behind a value that has its closing tag, or behind a complete call. There a model
wrote `</function1>`, `</a>` or `</tool_call` in the place of the right tag, or began the next call at once.
A tag that begins like one of the section's closing tags counts as that tag. Any other counts only where the
caller finds more evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.compiled import (
    BROKEN_CALL_END,
    BROKEN_SECTION_END,
    CLOSING,
    CLOSING_TAG,
    ClosingTags,
    CompiledCallSyntax,
    token_name,
)
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter

TAIL_LIMIT: Final = 4096  # characters of a value that are searched for the opening of a wrong closing tag
_SPACE: Final = re.compile(r"\s{0,64}")
_CLOSING_TAG: Final = re.compile(CLOSING_TAG)


@dataclass(frozen=True, slots=True)
class MangledTag:
    """A closing tag that is not written as the format writes it.

    Attributes:
        end: The position behind the tag.
        ends_section: It begins like the section's closing tag; None if it is like no tag of the section.
    """

    end: int
    ends_section: bool | None


@dataclass(frozen=True, slots=True)
class ValueEnd:
    """A place where a value may end although a closing tag is missing or wrong.

    Attributes:
        place: Where the value ends.
        found: What follows it.
        wrong_tag: The name of the wrong closing tag between the two; None if there is none.
        is_closed: The value has its own closing tag, and what is missing is the call's or the section's.
    """

    place: int
    found: PatternMatch
    wrong_tag: str | None = None
    is_closed: bool = False

    @property
    def note(self) -> str:
        """The repair to report."""
        if self.is_closed:
            return repair.MISSING_END
        return repair.OPEN_VALUE if self.wrong_tag is None else repair.WRONG_CLOSING_TAG


def is_opened(tag: str, parts: Sequence[str]) -> bool:
    """True if a value, of which the parts are given, opens a tag: then the closing tag is its own."""
    length, tail = 0, list[str]()
    for part in reversed(parts):
        tail.append(part)
        length += len(part)
        if length > TAIL_LIMIT:
            break
    return f"<{tag}" in "".join(reversed(tail))


def skip_space(text: str, at: int) -> int:
    """Return the position behind the whitespace at a position."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def match_mangled(closings: ClosingTags, text: str, at: int, ended: bool) -> MangledTag | NoMatch:
    """Match a mangled closing tag, with whitespace before it.

    Args:
        closings: The closing tags of the section.
        text: The text that has arrived.
        at: Where to match.
        ended: True if no more text will arrive.
    """
    at = skip_space(text, at)
    token = _match_token(closings, text, at, ended)
    if token is not NoMatch.NO:
        return token
    if not closings.words:
        return NoMatch.NO
    if not text.startswith(CLOSING, at):
        return NoMatch.PARTIAL if not ended and CLOSING.startswith(text[at:]) else NoMatch.NO
    tag = _CLOSING_TAG.match(text, at)
    if tag is None:
        return NoMatch.NO
    if tag.end() == len(text) and not ended:
        return NoMatch.PARTIAL
    similar = [is_section for begin, is_section in closings.words if tag[0].startswith(begin)]
    return MangledTag(tag.end(), similar[0] if similar else None)


def _match_token(closings: ClosingTags, text: str, at: int, ended: bool) -> MangledTag | NoMatch:
    """Match a special token of which a bar, or the end, is missing."""
    rest = text[at : at + 1]
    if (
        not closings.tokens
        or rest not in ("<", "")
        or (closings.opening and text.startswith(closings.opening, at))
    ):
        return NoMatch.NO
    for name, pattern, is_section in closings.tokens:
        found = pattern.match(text, at)
        if found and (found.end() < len(text) or ended):
            return MangledTag(found.end(), is_section)
        if not ended and (found or name.startswith(token_name(text[at:]))):
            return NoMatch.PARTIAL
    return NoMatch.NO


def read_mangled(
    buffer: InputBuffer,
    closings: ClosingTags,
    in_section: bool,
    starts: frozenset[str],
) -> ReadGenerator[bool | None]:
    """Read a mangled closing tag behind a complete call.

    Args:
        buffer: The input.
        closings: As for `match_mangled`.
        in_section: The section's opening tag was read, so that any closing tag is meant for it.
        starts: The literals with which another call may begin. Without an opening tag, a closing tag that is
            like none of the section's ends the call only before one of these, or at the end of the output.

    Returns:
        Whether the section ended; None, with nothing read, if there is no such tag.
    """
    while True:
        found = match_mangled(closings, buffer.text, buffer.at, buffer.ended) if closings else NoMatch.NO
        if isinstance(found, MangledTag):
            place = skip_space(buffer.text, found.end)
            if found.ends_section is None and not in_section:
                is_open = place == len(buffer.text) and not buffer.ended
                if is_open or any(
                    start.startswith(buffer.text[place:]) for start in starts if not buffer.ended
                ):
                    yield
                    continue
                if place < len(buffer.text) and not buffer.text.startswith(tuple(starts), place):
                    return None
                buffer.at = found.end
                return False
            buffer.at = found.end
            return found.ends_section is not False
        if found is NoMatch.NO:
            return None
        yield


def match_broken_end(
    output: ScanOutput,
    syntax: CompiledCallSyntax,
    arguments: ArgumentsWriter,
    at: int,
    *,
    is_closed: bool = True,
) -> PatternMatch | NoMatch:
    """Match what ends a call whose own closing tag is missing or mangled, behind a value's closing tag.

    That is a mangled tag, the next call, or the end of the output where no argument is missing.

    Args:
        output: The output, with the input.
        syntax: The syntax of the call.
        arguments: The arguments that were read.
        at: The position behind the value's closing tag.
        is_closed: That tag is the value's own; behind another one, the next call alone is no evidence.
    """
    buffer = output.buffer
    text, ended = buffer.text, buffer.ended
    place = skip_space(text, at)
    if place == len(text):
        is_end = ended and not buffer.cut and arguments.is_satisfied()
        end = PatternMatch(BROKEN_SECTION_END, place, {}) if is_end else NoMatch.NO
        return end if ended else NoMatch.PARTIAL
    starts = match_first(syntax.call_starts, text, place, ended) if is_closed else NoMatch.NO
    if isinstance(starts, PatternMatch):
        offered = output.may_be_called(starts.fields.get("name", ""))
        return PatternMatch(BROKEN_CALL_END, at, {}) if offered else NoMatch.NO
    again = syntax.arg_end.match(text, place) if syntax.arg_end else NoMatch.NO
    if isinstance(again, PatternMatch):
        return NoMatch.NO  # the value's own tag twice: the first one is part of the value
    if again is NoMatch.PARTIAL and not ended:
        return again
    tag = match_mangled(syntax.closings, text, place, ended)
    if isinstance(tag, MangledTag) and buffer.cut and tag.end == len(text):
        return NoMatch.NO  # a tag that the limit cut is not known to be mangled
    if not isinstance(tag, MangledTag):
        return NoMatch.PARTIAL if NoMatch.PARTIAL in (starts, tag) else NoMatch.NO
    if tag.ends_section is not None:
        return PatternMatch(BROKEN_SECTION_END if tag.ends_section else BROKEN_CALL_END, tag.end, {})
    return _behind_other_tag(buffer, syntax, tag.end)


def _behind_other_tag(buffer: InputBuffer, syntax: CompiledCallSyntax, end: int) -> PatternMatch | NoMatch:
    """Match the end of a call behind a tag that is like none of its own: another end must follow."""
    place = skip_space(buffer.text, end)
    if place == len(buffer.text):
        return PatternMatch(BROKEN_SECTION_END, place, {}) if buffer.ended else NoMatch.PARTIAL
    ends = [pattern for pattern in syntax.open_ends if pattern not in syntax.args]
    found = match_first((*ends, *syntax.call_starts), buffer.text, place, buffer.ended)
    return PatternMatch(BROKEN_CALL_END, end, {}) if isinstance(found, PatternMatch) else found


def match_next_call(output: ScanOutput, syntax: CompiledCallSyntax, at: int) -> PatternMatch | NoMatch:
    """Match the beginning of another call between special tokens, which is no part of a value.

    Args:
        output: The output, with the input.
        syntax: The syntax of the call.
        at: Where to match.
    """
    starts = match_first(syntax.call_starts, output.buffer.text, at, output.buffer.ended)
    if isinstance(starts, PatternMatch) and output.may_be_called(starts.fields.get("name", "")):
        return PatternMatch(BROKEN_CALL_END, at, {})
    return NoMatch.NO if isinstance(starts, PatternMatch) else starts
