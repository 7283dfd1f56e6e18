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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.compiled import (
    CompiledFormat,
    LiteralFinder,
    SectionStart,
    compiled_format,
)
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, expect
from vllm_messages_plugin.formats.scanning.pieces import CallEnd, CallPiece, Piece, TextPiece, ThinkingPiece
from vllm_messages_plugin.formats.scanning.sections import read_section
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat

__all__ = ["CallEnd", "CallPiece", "Piece", "Scanner", "TextPiece", "ThinkingPiece", "ThinkingTags"]

# The longest failed attempt, in characters, whose text is searched for markup again.
RESCAN_LIMIT: Final = 512

# The tag that a model writes after its reply, by the tag that ends its thinking.
REPLY_ENDS: Final[Mapping[str, str]] = {"[BEGIN FINAL RESPONSE]": "[END FINAL RESPONSE]"}


@dataclass(frozen=True, slots=True)
class ThinkingTags:
    """The tags around thinking.

    Attributes:
        open: The opening tag. "" if the model does not think; a closing tag at the start of the output or
            behind a call is read as one all the same.
        close: The closing tag.
        starts_open: The prompt ends inside thinking.
    """

    open: str
    close: str
    starts_open: bool = False


class Scanner:
    """Incremental parser for one reply of a model.

    Args:
        call_format: The tool-call format of the model.
        tools: The offered tools, in OpenAI's form; their schemas give values their types.
        thinking: The tags of thinking; None if the model does not think.
        calls: False if there may be no calls, so that their markup is text.
        on_repair: Receives one line for each repair of a call.
    """

    def __init__(
        self,
        call_format: ToolCallFormat,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        thinking: ThinkingTags | None = None,
        calls: bool = True,
        on_repair: Callable[[str], None] | None = None,
    ) -> None:
        self._buffer = InputBuffer()
        self._output = ScanOutput(self._buffer, tools, on_repair)
        self._thinking = thinking
        compiled: CompiledFormat | None = compiled_format(call_format) if calls else None
        self._triggers = compiled.triggers if compiled else {}
        self._reply_end = REPLY_ENDS.get(thinking.close, "") if thinking else ""
        literals = (thinking.open, thinking.close, self._reply_end) if thinking else ()
        tags = [tag for tag in literals if tag]
        self._finder = LiteralFinder((*self._triggers, *(compiled.closings if compiled else ()), *tags))
        # The closing tag of a section that text interrupted: still markup when it comes.
        self._pending_close: MarkupPattern | None = None
        if thinking and thinking.starts_open:
            self._output.boundary(thinking=True)
        self._parser = self._read()
        next(self._parser)

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
        self._buffer.push(text)
        next(self._parser)
        return self._output.drain()

    def finish(self) -> list[Piece]:
        """End the output and return the pieces that were held back."""
        self._buffer.ended = True
        next(self._parser, None)
        return self._output.drain()

    def _read(self) -> ReadGenerator[None]:
        """Read to the end: text, and at each literal the markup that it begins or ends."""
        buffer, find = self._buffer, self._finder.find
        while True:
            place, literal = find(buffer.text, buffer.at)
            if buffer.ended and not literal:
                place, literal = self._finder.find_at_end(buffer.text, buffer.at)
            self._output.add_text(buffer.take(place))
            if literal:
                yield from self._read_markup(literal)
            elif buffer.ended:
                break
            else:
                yield
        self._output.finish()

    def _read_markup(self, literal: str) -> ReadGenerator[None]:
        """Read what a literal begins or ends; if that is nothing, its first character is text."""
        if self._ends_reply(literal):
            self._buffer.at += len(literal)
            return
        if self._is_thinking_tag(literal):
            self._buffer.at += len(literal)
            if not self._output.answered and not self._output.thinking:
                self._output.thinking_end = self._buffer.position
            return
        if (yield from self._read_pending_close(literal)):
            return
        trigger = self._triggers.get(literal)
        if trigger and self._may_start(trigger):
            yield from self._try_section(trigger)
        else:
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
        if tags is None or literal not in (tags.open, tags.close):
            return False
        if literal == tags.close and (output.thinking or output.interrupted or output.at_head):
            output.interrupted = False
            output.boundary(thinking=False)
            return True
        if literal == tags.open and output.at_head:
            output.boundary(thinking=True)
            return True
        return False

    def _ends_reply(self, literal: str) -> bool:
        return literal == self._reply_end and not self._output.thinking

    def _may_start(self, trigger: SectionStart) -> bool:
        """True if a section may start here.

        Bare (untagged) calls are not read inside thinking. A bare call in another model's format must also
        be the first thing on its line.
        """
        if not trigger.bare:
            return True
        return not self._output.thinking and (self._output.line_start or not trigger.section.source.foreign)

    def _try_section(self, trigger: SectionStart) -> ReadGenerator[None]:
        """Try to read calls; what is part of none is read again as text."""
        buffer, output = self._buffer, self._output
        buffer.mark()
        output.attempt = buffer.position
        opening = () if trigger.alone or trigger.section.open is None else (trigger.section.open,)
        if opening and (yield from expect(buffer, opening)) is None:
            self._undo(has_call=False)
            return
        progress = yield from read_section(output, trigger.section)
        output.forget_repairs()
        self._pending_close = None if progress.closed or not progress.has_call else trigger.section.close
        if progress.closed:
            buffer.forget()
        else:
            self._undo(progress.has_call)

    def _undo(self, has_call: bool) -> None:
        """Return what was read since the last call to the search for text and markup."""
        raw = self._buffer.marked()
        if len(raw) > RESCAN_LIMIT:
            self._buffer.forget()
            self._output.add_text(raw)
            return
        self._buffer.rewind()
        if not has_call:
            self._output.add_text(self._buffer.take(self._buffer.at + 1))
