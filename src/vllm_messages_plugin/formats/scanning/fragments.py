"""The beginning of markup in which a reply ends: it is no text, and no call came of it.

How it works. A fragment is told from text by what it would have become. The beginning of a tag must be long
enough to be no text, unless a limit cut the output where the template writes tags, at the start of a line.
Behind an opening tag, or behind a call, the reader of the section ran out of input; what it had read until
then is a fragment if it begins a call: with a tag of the format, with the name of an offered tool, or with an
object whose keys are those of a call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax, CompiledSection
from vllm_messages_plugin.formats.scanning.literal_finder import LiteralFinder
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    PLAIN_NAME,
    NoMatch,
    PatternMatch,
    is_special_token,
)
from vllm_messages_plugin.formats.scanning.readers.json_call import CALL_KEYS, NAME_KEYS
from vllm_messages_plugin.formats.scanning.sections import SectionProgress, called_name

# The beginning of a tag, long enough not to be taken for text: `</to`, `<|to`, `[TO` where a limit cut the
# output, one character more where the model stopped by itself.
_TAG_FRAGMENT: Final = re.compile(r"[<\[]\W{0,3}\w{3}")
_CUT_TAG_FRAGMENT: Final = re.compile(r"[<\[](?:[|\uff5c]|\W{0,3}\w{2})")
# The same at the start of a line of an output that was cut, where a template writes its tags.
_CUT_LINE: Final = re.compile(r"[<\[]|\w{3}")
_SUFFIX: Final = re.compile(r"(?::\w*)?")  # what may follow a tag's literal before it ends
# What may stand before a call in a section: separators, brackets and fences.
_BEFORE_CALL: Final = re.compile(r"(?:[\s,;\[]|```\w*|\\[nrt])*")
_BEHIND_CALL: Final = re.compile(r"[\s}\]]+")
_TAG: Final = re.compile(r"[<\[]\W{0,3}\w|\w{4}")
_FENCE: Final = "```"
# The beginning of a call object: its first key and, if that is the name's, the name.
_OBJECT: Final = re.compile(
    r"""\{\s*(?:\\?["'](?P<key>[^"'\\]*)(?:(?P<end>\\?["'])\s*:?\s*"""
    r"""(?:\\?["'](?P<name>[^"'\\]*)(?P<closed>\\?["'])?)?)?)?"""
)


class Fragments:
    """Finds and drops the fragment of markup at the end of one reply."""

    def __init__(self, output: ScanOutput, tags: Sequence[str]) -> None:
        """Look at the end of an output.

        Args:
            output: The output, with the input.
            tags: The tags of the model's format and of its thinking.
        """
        self._output = output
        self._buffer = output.buffer
        self._tags = tags

    def find_at_end(self, finder: LiteralFinder, place: int) -> tuple[int, str]:
        """Find where the text ends once no more will arrive: at a literal, or before a fragment of a tag.

        Args:
            finder: Finds the literals with which markup begins.
            place: Where markup may begin.

        Returns:
            The position at which the text ends, and the literal that stands there; "" for a fragment.
        """
        text = self._buffer.text
        end = self.before(place)
        found = finder.find_at_end(text, self._buffer.at)
        return (end, "") if end < len(text) and end <= found[0] else found

    def before(self, place: int) -> int:
        """The position before a tag that is cut at the end of the output; the text's length without one.

        Args:
            place: Where the text may end.
        """
        fragment = self._buffer.text[place:]
        pattern = _TAG_FRAGMENT
        if self._buffer.cut:
            pattern = _CUT_LINE if self._starts_line(place) else _CUT_TAG_FRAGMENT
        if pattern.match(fragment) and any(tag.startswith(fragment) for tag in self._tags):
            return place
        return len(self._buffer.text)

    def _starts_line(self, place: int) -> bool:
        """True if a place is the first on its line, or right behind a call."""
        before = self._buffer.text[self._buffer.at : place]
        line = before[before.rfind("\n") + 1 :]
        return not line.strip() and (len(line) < len(before) or self._output.line_start)

    def ends_in(self, section: CompiledSection, progress: SectionProgress) -> bool:
        """True if the output ended inside the markup of a call: what is left is no text.

        Args:
            section: The section that was read.
            progress: How much of it was read.
        """
        buffer, source = self._buffer, section.source
        if progress.has_call and self._output.is_broken:
            return buffer.ended
        if not buffer.ended or source.foreign:
            return False
        raw = (buffer.marked() + buffer.text[buffer.at :]).strip()
        if progress.has_call:
            return self._is_rest(raw, section, progress)
        if section.open is None:
            return buffer.cut and buffer.starved and self._is_beginning(raw, section)
        opening = section.open.match(raw, 0)
        if isinstance(opening, PatternMatch):
            return self._is_beginning(raw[opening.end :], section, behind_opening=True)
        return opening is NoMatch.PARTIAL or self._is_beginning(raw, section)

    def _is_rest(self, raw: str, section: CompiledSection, progress: SectionProgress) -> bool:
        """True if what follows a call belongs to its section and is no text."""
        head = raw[_before_call(raw) :]
        if not head:
            return bool(raw) and (self._buffer.cut or bool(progress.brackets) or ";" in raw)
        if _BEHIND_CALL.fullmatch(raw):
            return True
        if _FENCE.startswith(head) and not self._buffer.cut and _FENCE not in progress.brackets:
            return False
        is_open = bool(progress.brackets) or (self._output.in_section and bool(section.source.close))
        return self._is_beginning(raw, section, inside=is_open)

    def _is_beginning(
        self, raw: str, section: CompiledSection, *, behind_opening: bool = False, inside: bool = False
    ) -> bool:
        """True if a text that ends the output is the beginning of a call.

        Args:
            raw: The text.
            section: The section of the call.
            behind_opening: The text stands behind the section's opening tag.
            inside: The text stands in the section, list or fence of the call before it.
        """
        head = raw[_before_call(raw) :]
        if not head:
            return behind_opening or self._buffer.starved
        if self._is_cut_tag(head) or _FENCE.startswith(head):
            return True
        beginnings = [found for syntax in section.syntaxes.values() if (found := _beginning(syntax, head))]
        if any(self._is_opening(beginning, behind_opening) for beginning in beginnings):
            return True
        if not self._buffer.starved:
            return False
        inside = inside or self._buffer.cut or "," in raw[: len(raw) - len(head)]
        is_named = any(self._is_named(beginning, behind_opening, inside) for beginning in beginnings)
        return is_named or self._begins_object(head)

    def _is_cut_tag(self, head: str) -> bool:
        """True if a text is the beginning of a tag of the format."""
        for tag in self._tags:
            if len(tag) > 1 and tag.startswith(head):
                return True
            if head.startswith(tag) and not tag.endswith((">", "]")) and _SUFFIX.fullmatch(head, len(tag)):
                return True
        return False

    def _begins_object(self, head: str) -> bool:
        """True if a text is the beginning of an object that is a call."""
        found = _OBJECT.match(head)
        if found is None:
            return False
        key = found["key"]
        if key is None:
            return found.end() == len(head)
        if found["end"] is None:
            return any(name.startswith(key) for name in CALL_KEYS) or self._output.begins_name(key)
        if key not in NAME_KEYS or found["name"] is None:
            return key in CALL_KEYS or self._output.offers(key)
        name = found["name"]
        return self._output.may_be_called(name) or (not found["closed"] and self._may_begin_name(name))

    def _may_begin_name(self, name: str) -> bool:
        """True if a text, also an empty one, may be the beginning of an offered tool's name."""
        return not name or self._output.begins_name(name)

    def _is_opening(self, beginning: _Beginning, behind_opening: bool) -> bool:
        """True if a text is nothing but the beginning of a call's opening, and can be nothing else."""
        is_called = bool(beginning.name) and self._output.may_be_called(beginning.name)
        is_markup = beginning.has_literal and (is_called or behind_opening)
        name = beginning.name
        is_token = beginning.has_special_token and (not name or PLAIN_NAME.fullmatch(name) is not None)
        is_certain = self._buffer.cut or is_token or self._may_be_name(name)
        return beginning.is_all and ((beginning.has_tag and is_certain) or is_markup)

    def _may_be_name(self, name: str) -> bool:
        """True if a text may be a tool's name, or the beginning of one, and not what follows a mention."""
        output = self._output
        is_called = output.may_be_called(name) and (output.offers(name) or bool(PLAIN_NAME.fullmatch(name)))
        return is_called or self._may_begin_name(name)

    def _is_named(self, beginning: _Beginning, behind_opening: bool, inside: bool) -> bool:
        """True if a text begins with the name of an offered tool, or is the beginning of one.

        Args:
            beginning: The beginning.
            behind_opening: The text stands behind the section's opening tag.
            inside: A name without any markup may be that of a call; otherwise it is a word of the reply.
        """
        name, output = beginning.name, self._output
        is_known = output.offers(name) or (beginning.is_all and output.begins_name(name))
        if behind_opening or beginning.has_literal:
            return bool(name) and (is_known or output.may_be_called(name))
        return bool(name) and is_known and inside

    def drop(self, raw: str) -> None:
        """Drop the fragment, unless a reply that no limit cut would be empty without it.

        Args:
            raw: The text of the fragment.
        """
        output = self._output
        is_empty = not output.answered and (output.at_head or not output.thinking)
        if is_empty and not self._buffer.cut:
            end = self._buffer.position
            output.note_raw_call(end - len(raw), end)
            output.add_text(raw)
        else:
            output.boundary(thinking=output.thinking)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """How a text begins like a call's opening.

    Attributes:
        name: The tool's name in it; "" if there is none.
        has_tag: A tag of the opening is in it, complete or cut within.
        has_special_token: A special token of the opening is in it, which no text mentions.
        has_literal: Anything of the opening but the name is in it.
        is_all: The text is the beginning of the opening, and nothing else.
    """

    name: str
    has_tag: bool
    has_special_token: bool
    has_literal: bool
    is_all: bool


def _beginning(syntax: CompiledCallSyntax, text: str) -> _Beginning | None:
    """Match a text with the beginning of a call's opening; None if it is something else."""
    at, name, literals = 0, "", ""
    for part in syntax.open.parts:
        if at == len(text):
            break
        if isinstance(part, str):
            length = len(part) if text.startswith(part, at) else len(text) - at
            if not part.startswith(text[at : at + length]):
                return None
        else:
            run = part[1].match(text, at)
            if run is None:
                return None
            length = run.end() - at
            name = called_name(syntax, run[0]) if part[0] in ("name", "identifier") else name
        literals += text[at : at + length] if isinstance(part, str) else ""
        at += length
    has_tag, is_special = bool(_TAG.search(literals)), is_special_token(literals)
    return _Beginning(name, has_tag, is_special, bool(literals), at == len(text))


def _before_call(text: str) -> int:
    """The length of what stands before a call at the start of a text."""
    found = _BEFORE_CALL.match(text)
    return found.end() if found else 0
