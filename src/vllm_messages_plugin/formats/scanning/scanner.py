"""Splits a model's output into reply text, thinking and tool calls while it is being generated.

How it works. Everything that reads is a generator over one `InputBuffer`. The scanner's own generator passes
text on until it reaches a literal with which markup of the format begins. There it sets a bookmark and lets a
section reader try. If a call comes of it, the bookmark is dropped as soon as the call begins, and its
arguments are emitted while they arrive. If not, the scanner goes back to the bookmark, and the first
character counts as text. Where a reader needs more input it yields; `feed` appends text and resumes the whole
stack of generators at exactly that point, so the state of a half-read tag is nothing but a suspended frame.

Why the result does not depend on how the output is split. A reader decides only on text that is in the
buffer, and where the text that is missing could change the decision, it yields instead of deciding. Every
chunk is a mere wake-up. `feed` with one character at a time and with everything at once take the same
decisions in the same order. There is no second implementation for replies that are not streamed.

Why it is linear. Text is searched with one regular expression for all literals. What is read leaves the
buffer. The parts of markup whose end must be awaited have a maximum length. An attempt that failed is read
again only if it was short (`RESCAN_LIMIT`); a longer one becomes text as a whole. So each character is
looked at a bounded number of times, however long the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from vllm_messages_plugin.formats.scanning.buffer import (
    InputBuffer,
    PlainText,
    ReadGenerator,
    next_token,
)
from vllm_messages_plugin.formats.scanning.compiled import (
    UNTAGGED_STARTS,
    CompiledFormat,
    SectionStart,
    compiled_format,
    section_tags,
)
from vllm_messages_plugin.formats.scanning.early_names import EarlyNames
from vllm_messages_plugin.formats.scanning.fragments import Fragments
from vllm_messages_plugin.formats.scanning.literal_finder import ends_in_word, literal_finder
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    MarkupPattern,
    PatternMatch,
    expect,
    is_special_token,
)
from vllm_messages_plugin.formats.scanning.pieces import CallEnd, CallPiece, Piece, TextPiece, ThinkingPiece
from vllm_messages_plugin.formats.scanning.sections import SectionProgress, read_section
from vllm_messages_plugin.formats.scanning.stray_tags import StrayTags
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat
from vllm_messages_plugin.formats.scanning.thinking_tags import Drafts, StrayThinkingTags, ThinkingTags

__all__ = ["CallEnd", "CallPiece", "Piece", "Scanner", "TextPiece", "ThinkingPiece", "ThinkingTags"]

# The longest failed attempt, in characters, whose text is searched for markup again.
RESCAN_LIMIT: Final = 512

# The tag that a model writes after its reply, by the tag that ends its thinking.
REPLY_ENDS: Final[Mapping[str, str]] = {"[BEGIN FINAL RESPONSE]": "[END FINAL RESPONSE]"}


class Scanner:
    """Incremental parser for one reply of a model.

    Args:
        call_format: The tool-call format of the model.
        tools: The offered tools, in OpenAI's form; their schemas give values their types.
        thinking: The tags of thinking; None if the model does not think.
        calls: False if there may be no calls, so that their markup is text.
        drop_stray_tags: False to keep as text what is markup, but no call and no thinking.
        on_repair: Receives one line for each repair of a call.
        on_raw_call: Is called for markup of a call that could not be read and became text.
    """

    def __init__(
        self,
        call_format: ToolCallFormat,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        thinking: ThinkingTags | None = None,
        calls: bool = True,
        drop_stray_tags: bool = True,
        on_repair: Callable[[str], None] | None = None,
        on_raw_call: Callable[[], None] | None = None,
    ) -> None:
        self._buffer = InputBuffer()
        self._output = ScanOutput(self._buffer, tools, on_repair, on_raw_call)
        self._format = call_format
        if thinking is None and call_format.thinking:
            thinking = ThinkingTags(*call_format.thinking)
        self._thinking = thinking
        self._compiled: CompiledFormat | None = (
            compiled_format(call_format, self._output.odd_names) if calls else None
        )
        self._triggers = self._compiled.triggers if self._compiled else {}
        self._wrappers: frozenset[str] = frozenset()
        if calls and drop_stray_tags:
            own = tuple(self._triggers)
            self._wrappers = frozenset(tag for tag in section_tags()[0] if not tag.startswith(own))
        self._reply_end = REPLY_ENDS.get(thinking.close, "") if thinking else ""
        self._early_names = EarlyNames(self._output, self._triggers)
        dropped = self._compiled if drop_stray_tags else None
        tags_format = call_format if drop_stray_tags else replace(call_format, noise=(), envelopes=())
        self._stray_tags = StrayTags(tags_format, dropped, self._output)
        self._finder = literal_finder(frozenset(self._literals()))
        # The closing tag of a section that text interrupted: still markup when it comes.
        self._pending_close: MarkupPattern | None = None
        thinking_tags = (thinking.open, thinking.close) if thinking else ()
        tags = (*thinking_tags, *tags_format.noise, *chain.from_iterable(tags_format.envelopes))
        inner = tuple(marker for marker in call_format.markers if not marker[0].isalnum())
        starts = (key for key, start in self._triggers.items() if key[0] in "<[`{" or not start.bare)
        self._fragments = Fragments(self._output, (*tags, *inner, *starts) if calls else tags)
        self._stray_thinking_tags = StrayThinkingTags(self._output, thinking)
        self._drafts = Drafts(self._buffer, call_format.drafts, thinking.close if thinking else "")
        if thinking and thinking.starts_open:
            self._output.boundary(thinking=True)
        self._parser = self._read()
        next(self._parser)

    def _literals(self) -> Iterator[str]:
        """Everything at which text may end."""
        if self._thinking:
            yield from (self._thinking.open, self._thinking.close, self._reply_end)
        yield from self._stray_tags.literals()
        yield from (*self._triggers, *self._wrappers)
        yield from self._compiled.closings if self._compiled else ()

    @property
    def thinking(self) -> bool:
        """True if what was read last is thinking."""
        return self._output.thinking

    @property
    def thinking_end(self) -> int:
        """The number of characters of the output before the reply; final once a piece of the reply is out."""
        return self._output.thinking_end

    def feed(self, text: str) -> list[Piece]:
        """Read more output.

        Args:
            text: The next part of the output, of any length.

        Returns:
            The pieces that are certain by now.
        """
        if not self._buffer.pass_by(text):
            self._buffer.push(text)
            next(self._parser)
        return self._output.drain()

    def finish(self, *, cut: bool = False) -> list[Piece]:
        """End the output.

        Args:
            cut: The output ended because of a limit, not because the model stopped. A value without its
                closing tag then stays open; otherwise it may count as complete.

        Returns:
            The pieces that were held back.
        """
        self._buffer.ended, self._buffer.cut = True, cut
        next(self._parser, None)
        return self._output.drain()

    def _read(self) -> ReadGenerator[None]:
        """Read to the end: text, and at each literal the markup that it begins or ends."""
        buffer, find = self._buffer, self._finder.find
        plain = PlainText(self._early_names.stop(self._finder.start), self._output.add_text)
        while True:
            place, literal = find(buffer.text, buffer.at)
            if buffer.ended and (not literal or literal in UNTAGGED_STARTS):
                place, literal = self._fragments.find_at_end(self._finder, place)
            if self._early_names.tags and (yield from self._early_names.read(place, literal)):
                continue
            self._output.add_text(buffer.take(place))
            if literal:
                yield from self._read_markup(literal)
            elif buffer.ended:
                break
            else:
                buffer.plain = plain if buffer.exhausted else None
                yield
                buffer.plain = None
        if not buffer.exhausted:
            self._fragments.drop(buffer.take(len(buffer.text)))
        self._output.finish()

    def _read_markup(self, literal: str) -> ReadGenerator[None]:
        """Read what a literal begins or ends; if that is nothing, its first character is text."""
        if literal == self._reply_end and not self._output.thinking:
            self._buffer.at += len(literal)
            return
        if self._is_thinking_tag(literal):
            self._buffer.at += len(literal)
            if not self._output.answered and not self._output.thinking:
                self._output.thinking_end = self._buffer.position
            return
        if (yield from self._stray_thinking_tags.drop(literal)):
            return
        if (yield from self._read_pending_close(literal)) or (yield from self._stray_tags.drop(literal)):
            return
        trigger = self._triggers.get(literal)
        if trigger and (yield from self._may_start(trigger, literal)):
            yield from self._try_section(trigger)
        elif literal in self._wrappers and not self._output.thinking and not trigger:
            if not (yield from self._try_wrapped(len(literal))):
                self._add_opening(self._buffer.position + len(literal))
        else:
            self._output.add_text(self._buffer.take(self._buffer.at + 1))

    def _try_wrapped(self, length: int) -> ReadGenerator[bool]:
        """Drop a section tag before a call of this format; False, with nothing read, if none follows.

        Args:
            length: The length of the tag.
        """
        buffer = self._buffer
        buffer.mark()
        buffer.at += length
        yield from next_token(buffer)
        while True:
            place, found = self._finder.find(buffer.text, buffer.at)
            if place > buffer.at or found or buffer.ended:
                break
            yield
        trigger = self._triggers.get(found) if place == buffer.at else None
        if trigger and not trigger.bare:
            return (yield from self._try_section(trigger, is_wrapped=True))
        buffer.rewind()
        return False

    def _add_opening(self, raw_end: int | None) -> None:
        """Add the first character of an opening tag that opens nothing to the text.

        Args:
            raw_end: The position at which the markup ends that could not be read; None without the opening
                tag of a section, where it may be a part of another call, or any text.
        """
        if raw_end is not None:
            self._output.note_raw_call(self._buffer.position, raw_end)
        self._stray_tags.note_unread_opening()
        self._output.add_text(self._buffer.take(self._buffer.at + 1))

    def _read_pending_close(self, literal: str) -> ReadGenerator[bool]:
        """Read the closing tag of a section that text interrupted; False if it is not here."""
        if self._pending_close is None or literal != self._pending_close.literals[0]:
            return False
        found = yield from expect(self._buffer, [self._pending_close])
        if found:
            self._pending_close = None
        return found is not None

    def _is_thinking_tag(self, literal: str) -> bool:
        """True if this opens or closes thinking here; then thinking is switched."""
        tags, output = self._thinking, self._output
        if tags is None:
            return False
        if literal == tags.close and (output.thinking or output.interrupted or output.at_head):
            output.interrupted = False
            output.boundary(thinking=False)
            return True
        is_open = literal == tags.open or (literal in self._format.noise and tags.open.startswith(literal))
        if is_open and (output.at_head or is_special_token(literal)):
            output.boundary(thinking=True)
            return True
        if literal == tags.close and is_special_token(literal):
            output.boundary(thinking=False)
            return True
        return False

    def _may_start(self, trigger: SectionStart, literal: str) -> ReadGenerator[bool]:
        """True if a section may start here.

        Bare (untagged) calls are not read inside thinking. A bare call in another model's format must also
        be the first thing on its line. No markup begins in the middle of a word.
        """
        if literal[0].isalpha() and ends_in_word(self._output.last_char):
            return False
        if self._output.thinking and (trigger.bare or (yield from self._drafts.contain(trigger.section))):
            return False
        if trigger.section.source.noisy and self._output.last_char == "`":
            return False
        return not trigger.bare or self._output.line_start or not trigger.section.source.foreign

    def _try_section(self, trigger: SectionStart, *, is_wrapped: bool = False) -> ReadGenerator[bool]:
        """Try to read calls; what is part of none is read again as text, from the bookmark on.

        Args:
            trigger: How the section begins.
            is_wrapped: Another section's tag stands before it, at the bookmark.

        Returns:
            False if there is no call. Then nothing was read, if the section is wrapped.
        """
        buffer, output = self._buffer, self._output
        if not is_wrapped:
            buffer.mark()
        output.attempt, output.in_section = buffer.position, not trigger.alone
        progress = SectionProgress()
        opening = () if trigger.alone or trigger.section.open is None else (trigger.section.open,)
        if not opening or (yield from expect(buffer, opening)) is not None:
            progress = yield from read_section(output, trigger.section)
            is_open = progress.has_call and not progress.closed
            self._pending_close = trigger.section.close if is_open else None
        output.forget_repairs()
        if progress.closed:
            buffer.forget()
        elif self._fragments.ends_in(trigger.section, progress):
            raw = buffer.marked() + buffer.take(len(buffer.text))
            buffer.forget()
            self._fragments.drop(raw)
        else:
            return (yield from self._undo(trigger, progress.has_call, is_wrapped))
        return True

    def _undo(self, trigger: SectionStart, has_call: bool, is_wrapped: bool) -> ReadGenerator[bool]:
        """Return what was read since the last call to the search for text and markup.

        Args:
            trigger: How the section began.
            has_call: A call was read before.
            is_wrapped: As for `_try_section`.

        Returns:
            True if something was read after all.
        """
        raw, raw_end = self._buffer.marked(), self._buffer.position
        if len(raw) > RESCAN_LIMIT:
            if not has_call:
                self._stray_tags.note_unread_opening()
            if not (has_call or trigger.alone):
                self._output.note_raw_call(raw_end - len(raw), raw_end)
            self._buffer.forget()
            self._output.add_text(raw)
            return True
        self._buffer.rewind()
        if has_call or is_wrapped:
            return has_call
        opening = None if trigger.alone or self._output.thinking else trigger.section.open
        found = opening.match(self._buffer.text, self._buffer.at) if opening else None
        length = found.end - self._buffer.at if isinstance(found, PatternMatch) else 0
        if not length or not (yield from self._try_wrapped(length)):
            self._add_opening(None if trigger.alone else raw_end)
        return True
