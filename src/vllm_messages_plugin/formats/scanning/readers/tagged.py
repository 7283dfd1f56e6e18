"""Reads arguments between tags: `<parameter=key>value</parameter>` and similar.

How a value ends. For certain it ends only where the template would end it: at its closing tag, followed by
the next argument, the end of the call or the end of the section. Any other closing tag is part of the value.
But models leave the closing tag out, or write another one. So a value may also end at the opening of an
argument that the schema has and that was not given yet, and at the end of the call or section, with or
without a wrong closing tag before it. Such a place is only a candidate: a file about this very markup has
it, too.

How a candidate is decided. The value is held back there, and the text behind it is searched for what settles
the question: if the value is ended properly further on, it goes on to there; if another call begins first, or
the output ends, it ended at the candidate. Where both readings are possible, the one wins that gives no
argument twice and gives all that the schema requires. The search is bounded by `LOOKAHEAD_LIMIT`, and no
part of the text is searched twice, so the work stays linear and the delay bounded.
"""

from __future__ import annotations

from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import PlainText, ReadGenerator, safe_end
from vllm_messages_plugin.formats.scanning.compiled import BROKEN_CALL_END, CLOSING, CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    MarkupPattern,
    NoMatch,
    PatternMatch,
    expect,
    looking_at,
    match_first,
)
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.broken_ends import (
    ValueEnd,
    is_opened,
    match_broken_end,
    match_next_call,
)
from vllm_messages_plugin.formats.scanning.readers.values import (
    EscapedLinesValue,
    ValueWriter,
    text_value,
    typed_by_attribute,
)

LOOKAHEAD_LIMIT: Final = 4096  # characters behind a candidate that may settle whether a value ends there
MENTION_STARTS: Final = " \t`'\"("  # behind one of these a tag is mentioned in text
_CDATA: Final = MarkupPattern(" <![CDATA[")
_CDATA_END: Final = "]]>"


def read_tagged(
    output: ScanOutput, syntax: CompiledCallSyntax, name: str, first: PatternMatch
) -> ReadGenerator[bool]:
    """Read a call's arguments.

    Args:
        output: Receives the call.
        syntax: The syntax of the call.
        name: The tool's name.
        first: What follows the call's opening: an argument, or the end of the call or of the section.

    Returns:
        True if the section ended with the call.
    """
    output.begin_call(name)
    output.add_arguments("{")
    arguments = ArgumentsWriter(output.add_arguments, output.note_repair, output.schema_of(name), name)
    found: PatternMatch | None = first
    while found and found.pattern in syntax.args:
        node = arguments.begin(found.fields["key"].strip())
        value = text_value(arguments.write, typed_by_attribute(node, found.fields), output.note_repair)
        if syntax.source.lines and "\\" in found.fields.get("gap", ""):
            value = EscapedLinesValue(value)
        found = yield from _TaggedValue(output, syntax, arguments, value).read()
        if found:
            arguments.end()
    if found:
        output.add_arguments("}")
    output.end_call(complete=found is not None)
    return found is not None and found.pattern in syntax.section_ends


class _TaggedValue:
    """Parser of one value, from behind its opening tag."""

    def __init__(
        self, output: ScanOutput, syntax: CompiledCallSyntax, arguments: ArgumentsWriter, value: ValueWriter
    ) -> None:
        self._output = output
        self._buffer = output.buffer
        self._syntax = syntax
        self._arguments = arguments
        self._value = value
        self._lines = False  # the value stands on lines of its own
        self._is_cut = False  # the output ended inside the value or its closing tag
        self._parts: list[str] = []
        # Positions in the whole output:
        self._goes_on_to = 0  # the value is known not to end before
        self._searched_to = 0  # nothing before settles a candidate

    def read(self) -> ReadGenerator[PatternMatch | None]:
        """Read to the end of the value, and return what follows it; None if the output ends first."""
        buffer, finder = self._buffer, self._syntax.value_finder
        if self._syntax.source.cdata and (yield from looking_at(buffer, (_CDATA,))):
            return (yield from self._read_cdata())
        if self._syntax.source.lines:
            yield from self._skip_line_end()
        while True:
            yield from self._pass_plain_text()
            text = buffer.text
            place, literal = finder.find(text, buffer.at)
            is_closing = literal == CLOSING and self._closing(text, place)
            if is_closing is NoMatch.NO:
                self._add(buffer.take(place + 1))
                continue
            self._add(buffer.take(self._before_line_ends(text, place)))
            if literal and is_closing is not NoMatch.PARTIAL:
                found = yield from self._end_at(place - buffer.at)
                if found:
                    self._value.close()
                    buffer.at = found.end
                if found or self._is_cut:
                    return found
            elif buffer.ended:
                self._cut(place)
                return None
            else:
                yield

    def _pass_plain_text(self) -> ReadGenerator[None]:
        """Add chunks to the value while nothing in them can belong to a tag, as is the case of almost all."""
        buffer, finder = self._buffer, self._syntax.value_finder
        plain = PlainText(finder.start_or_line_end, self._add)
        while finder.first_char and not buffer.ended:
            if plain.stop.search(buffer.text, buffer.at):
                return
            self._add(buffer.take(len(buffer.text)))
            buffer.plain = plain
            yield
            buffer.plain = None

    def _closing(self, text: str, place: int) -> NoMatch | bool:
        """Whether a closing tag may end the value: NO, PARTIAL while that is not decided, or True."""
        start = self._syntax.closing_start
        found = start.match(text, place) if start else None
        if start is None:
            return True
        if found is None:
            return NoMatch.NO
        return NoMatch.PARTIAL if found.end() == len(text) and not self._buffer.ended else True

    def _read_cdata(self) -> ReadGenerator[PatternMatch | None]:
        """Read a value in CDATA sections, in which no tag counts, and return what follows it."""
        buffer, ends = self._buffer, (_CDATA, *self._syntax.value_ends, *self._syntax.open_ends)
        yield from expect(buffer, (_CDATA,))
        while True:
            text = buffer.text
            place = text.find(_CDATA_END, buffer.at)
            self._value.add(buffer.take(place if place >= 0 else safe_end(text, buffer.at, _CDATA_END)))
            found: PatternMatch | NoMatch = NoMatch.PARTIAL
            if place >= 0:
                found = match_first(ends, text, place + len(_CDATA_END), buffer.ended)
            if isinstance(found, PatternMatch):
                buffer.at = found.end
                if found.pattern is not _CDATA:
                    self._value.close()
                    return found
            elif found is NoMatch.NO and not buffer.ended:
                self._value.add(buffer.take(place + 1))
            elif buffer.ended:
                self._value.cut()
                buffer.at = len(text)
                return None
            else:
                yield

    def _skip_line_end(self) -> ReadGenerator[None]:
        """Skip the line end that the template writes before a value."""
        buffer = self._buffer
        while buffer.exhausted and not buffer.ended:
            yield
        has_line_end = buffer.text.startswith("\n", buffer.at)
        buffer.at += has_line_end
        # Models that write no section tags write values on one line: a last line end is part of the value.
        self._lines = has_line_end or self._output.in_section

    def _add(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._value.add(text)

    def _before_line_ends(self, text: str, place: int) -> int:
        """The position before the line ends, right before `place`, that may belong to a tag there."""
        first, at = place, self._buffer.at
        while place > at and text[place - 1] == "\n" and first - place <= self._lines:
            place -= 1
        return place

    def _end_at(self, distance: int) -> ReadGenerator[PatternMatch | None]:
        """Read what a literal of the markup ends; None if it is part of the value, which then was added."""
        buffer = self._buffer
        while True:
            place = buffer.at + distance
            found: PatternMatch | ValueEnd | NoMatch
            found = match_first(self._syntax.value_ends, buffer.text, place, buffer.ended)
            if isinstance(found, PatternMatch):
                self._add_line_ends(place, stripped=self._lines)
                return found
            if found is NoMatch.NO:
                found = self._candidate(place)
            if isinstance(found, ValueEnd):
                distance = found.place - buffer.at
                length = found.found.end - found.place
                if (yield from self._is_end(found)):
                    place = buffer.at + distance
                    return self._ended_at(found, place, place + length)
                place = buffer.at + distance
            if found is not NoMatch.PARTIAL:
                self._add_literal(place)
                return None
            yield

    def _add_literal(self, place: int) -> None:
        """Add the first character of markup that ends nothing; end the output if that cut the markup."""
        text, ends = self._buffer.text, (*self._syntax.value_ends, *self._syntax.open_ends)
        if self._buffer.ended and match_first(ends, text, place) is NoMatch.PARTIAL:
            self._cut(place)
        else:
            self._add(self._buffer.take(place + 1))

    def _ended_at(self, candidate: ValueEnd, place: int, end: int) -> PatternMatch:
        """End the value at a candidate, which meanwhile is at `place`."""
        is_tagged = candidate.is_closed or candidate.wrong_tag is not None
        self._add_line_ends(place, stripped=self._lines if is_tagged else 1 + self._lines)
        self._output.note_repair(candidate.note)
        return PatternMatch(candidate.found.pattern, end, candidate.found.fields)

    def _add_line_ends(self, place: int, stripped: int) -> None:
        """Add the line ends before a tag at `place` to the value, except those that belong to the tag."""
        self._add(self._buffer.take(max(self._buffer.at, place - stripped)))

    def _candidate(self, place: int) -> ValueEnd | NoMatch:
        """Look for a place where the value may end without its closing tag."""
        buffer, ends = self._buffer, self._syntax.open_ends
        if buffer.discarded + place < self._goes_on_to:
            return NoMatch.NO
        text = buffer.text
        own = self._syntax.arg_end.match(text, place) if self._syntax.arg_end else NoMatch.NO
        if isinstance(own, PatternMatch):
            closed = match_broken_end(self._output, self._syntax, self._arguments, own.end)
            if isinstance(closed, PatternMatch):
                return ValueEnd(place, closed, is_closed=True)
            if closed is NoMatch.PARTIAL:
                return closed
        found = match_first(ends, text, place, buffer.ended)
        wrong_tag: str | None = None
        tag = self._syntax.wrong_arg_end.match(text, place) if found is NoMatch.NO else None
        if tag:
            if tag.end() == len(text) and not buffer.ended:
                return NoMatch.PARTIAL
            wrong_tag = tag[1]
            found = match_first(ends, text, tag.end(), buffer.ended)
            if found is NoMatch.NO:
                found = match_broken_end(
                    self._output, self._syntax, self._arguments, tag.end(), is_closed=False
                )
        elif found is NoMatch.NO and not self._syntax.source.arg_close.startswith(CLOSING):
            found = match_next_call(self._output, self._syntax, place)
        return ValueEnd(place, found, wrong_tag) if isinstance(found, PatternMatch) else found

    def _is_end(self, candidate: ValueEnd) -> ReadGenerator[bool]:
        """Decide whether the value ends at a candidate."""
        key = candidate.found.fields.get("key", "").strip()
        if key and not self._may_be_next(candidate, key):
            return False
        if candidate.wrong_tag and is_opened(candidate.wrong_tag, self._parts):
            return False
        if self._value.is_settled() or (
            candidate.found.pattern is BROKEN_CALL_END
            and not candidate.is_closed
            and candidate.wrong_tag is None
        ):
            return True
        return (yield from self._look_ahead(candidate, key))

    def _may_be_next(self, candidate: ValueEnd, key: str) -> bool:
        """True if an argument may open here: of a missing key, at a place where the template opens one."""
        if not self._arguments.may_be_next(key):
            return False
        place = candidate.place
        before = self._buffer.text[self._buffer.at : place][-1:] or "".join(self._parts[-1:])[-1:]
        has_key_tags = "</" in self._syntax.source.arg_open
        is_mention = bool(before) and before in MENTION_STARTS
        return not is_mention or has_key_tags or self._arguments.requires(key) or bool(candidate.wrong_tag)

    def _look_ahead(self, candidate: ValueEnd, key: str) -> ReadGenerator[bool]:
        """Search the text behind a candidate for what settles whether the value ends there."""
        buffer, finder = self._buffer, self._syntax.scan_finder
        base = buffer.discarded
        limit = base + candidate.place + LOOKAHEAD_LIMIT
        at = max(base + candidate.found.end, self._searched_to)
        while True:
            base = buffer.discarded
            place, literal = finder.find(buffer.text, at - base)
            at = base + place
            if at >= limit:
                self._searched_to = limit
                return bool(key)
            if literal:
                verdict = self._verdict(place, key)
                if isinstance(verdict, bool):
                    return verdict
                if verdict is NoMatch.NO or buffer.ended:
                    at += 1
                    continue
            elif buffer.ended:
                return bool(key) or not buffer.cut
            yield

    def _verdict(self, place: int, key: str) -> bool | NoMatch:
        """What a literal behind a candidate says: True if the value ended there, False if it goes on."""
        buffer = self._buffer
        found = match_first(self._syntax.value_ends, buffer.text, place, buffer.ended)
        if isinstance(found, PatternMatch):
            following = found.fields.get("key", "").strip()
            repeated = bool(following) and (following == key or following in self._arguments.keys)
            if key and not repeated:
                return True
            self._goes_on_to = buffer.discarded + place
            return False
        starts = match_first(self._syntax.call_starts, buffer.text, place, buffer.ended)
        if isinstance(starts, PatternMatch):
            return self._output.may_be_called(starts.fields.get("name", "")) or NoMatch.NO
        return NoMatch.PARTIAL if NoMatch.PARTIAL in (found, starts) else NoMatch.NO

    def _cut(self, place: int) -> None:
        """End the output inside the value, or inside the tag at `place`, which is dropped."""
        buffer, tag = self._buffer, self._syntax.source.arg_close
        self._is_cut = True
        if tag and buffer.text.startswith(tag, place):
            self._add_line_ends(place, stripped=self._lines)
            self._value.close()
        else:
            self._add(buffer.take(place))
            self._value.cut()
        buffer.at = len(buffer.text)
