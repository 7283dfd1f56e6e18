"""Model text into text, thought and tool calls: sans-IO, linear, the same for every split of the text.

Fed by the engine room. Between calls it looks for the marks of a shape; a reader then tries what begins
there, and if no call comes of it, the text goes out as text. There is one path for streams and wholes.
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

# An attempt that failed is looked at again, from its second character, only if it was short: so each
# character is looked at a bounded number of times.
RESCAN_LIMIT: Final = 512

# What a model writes behind its answer, by the tag that ends its thoughts.
ANSWER_ENDS: Final[Mapping[str, str]] = {"[BEGIN FINAL RESPONSE]": "[END FINAL RESPONSE]"}


@dataclass(frozen=True, slots=True)
class ThinkingTags:
    """What stands around thoughts. `starts_open`: the prompt has opened the first one.

    Without `open` there are no thoughts to read, but a closing tag at the head of a segment still is a tag.
    """

    open: str
    close: str
    starts_open: bool = False


class Scanner:
    """Reads one reply of a model.

    Args:
        shape: how the model marks its calls.
        tools: the offered tools, in OpenAI's form; their schemas give values their types.
        thinking: the tags of thoughts, if the model thinks.
        calls: whether there may be calls; if not, their markup is text.
        repaired: is told, in one line, of each repair of a call.
    """

    def __init__(
        self,
        shape: ToolCallFormat,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        thinking: ThinkingTags | None = None,
        calls: bool = True,
        repaired: Callable[[str], None] | None = None,
    ) -> None:
        self._tape = InputBuffer()
        self._reply = ScanOutput(self._tape, tools, repaired)
        self._thinking = thinking
        grammar: CompiledFormat | None = compiled_format(shape) if calls else None
        self._triggers = grammar.triggers if grammar else {}
        self._answer_end = ANSWER_ENDS.get(thinking.close, "") if thinking else ""
        literals = (thinking.open, thinking.close, self._answer_end) if thinking else ()
        tags = [tag for tag in literals if tag]
        self._finder = LiteralFinder((*self._triggers, *(grammar.closes if grammar else ()), *tags))
        self._owed: MarkupPattern | None = (
            None  # the closing mark of a section that something else broke into
        )
        if thinking and thinking.starts_open:
            self._reply.boundary(thinking=True)
        self._reading = self._read()
        next(self._reading)

    @property
    def thinking(self) -> bool:
        """Whether what was read last stands inside a thought."""
        return self._reply.thinking

    def feed(self, text: str) -> list[Piece]:
        """Take a piece of the text; return what is sure by now."""
        self._tape.push(text)
        next(self._reading)
        return self._reply.drain()

    @property
    def thought_end(self) -> int:
        """How much of the whole text comes before the answer; sure once a piece of the answer is out."""
        return self._reply.thought_end

    def finish(self) -> list[Piece]:
        """Take note that the output has ended; return what was held back."""
        self._tape.ended = True
        next(self._reading, None)
        return self._reply.drain()

    def _read(self) -> ReadGenerator[None]:
        """Read to the end: prose, and at each literal that may begin or end something, what it is."""
        tape, find = self._tape, self._finder.find
        while True:
            place, literal = find(tape.text, tape.at)
            if tape.ended and not literal:
                place, literal = self._finder.at_end(tape.text, tape.at)
            self._reply.say(tape.take(place))
            if literal:
                yield from self._meet(literal)
            elif tape.ended:
                break
            else:
                yield
        self._reply.finish()

    def _meet(self, literal: str) -> ReadGenerator[None]:
        """Read what a literal begins or ends; if it is nothing, its first character is text."""
        if self._ends_answer(literal):
            self._tape.at += len(literal)
            return
        if self._is_tag(literal):
            self._tape.at += len(literal)
            if not self._reply.answered and not self._reply.thinking:
                self._reply.thought_end = self._tape.position
            return
        if (yield from self._is_owed(literal)):
            self._owed = None
            return
        trigger = self._triggers.get(literal)
        if trigger and self._may_begin(trigger):
            yield from self._attempt(trigger)
        else:
            self._reply.say(self._tape.take(self._tape.at + 1))

    def _is_owed(self, literal: str) -> ReadGenerator[bool]:
        """Whether this closes a section that something else broke into; then it is read."""
        if self._owed is None or literal != self._owed.literals[0]:
            return False
        return bool((yield from expect(self._tape, [self._owed])))

    def _is_tag(self, literal: str) -> bool:
        """Whether this is a tag of a thought, in a place where it counts."""
        tags, reply = self._thinking, self._reply
        if tags is None or literal not in (tags.open, tags.close):
            return False
        if literal == tags.close and (reply.thinking or reply.interrupted or reply.at_head):
            reply.interrupted = False
            reply.boundary(thinking=False)
            return True
        if literal == tags.open and reply.at_head:
            reply.boundary(thinking=True)
            return True
        return False

    def _ends_answer(self, literal: str) -> bool:
        return literal == self._answer_end and not self._reply.thinking

    def _may_begin(self, trigger: SectionStart) -> bool:
        """Whether markup counts here: without marks a call is no thought, and a foreign one has its line."""
        if not trigger.bare:
            return True
        foreign = trigger.chapter.section.foreign
        return not self._reply.thinking and (self._reply.line_start or not foreign)

    def _attempt(self, trigger: SectionStart) -> ReadGenerator[None]:
        """Try to read calls; what is none of them goes back to where prose is read."""
        tape, reply = self._tape, self._reply
        tape.mark()
        reply.attempt = tape.position
        opening = () if trigger.alone or trigger.chapter.open is None else (trigger.chapter.open,)
        if opening and (yield from expect(tape, opening)) is None:
            self._take_back(made=False)
            return
        visit = yield from read_section(reply, trigger.chapter)
        reply.forget_notes()
        self._owed = None if visit.closed or not visit.made else trigger.chapter.close
        if visit.closed:
            tape.forget()
        else:
            self._take_back(visit.made)

    def _take_back(self, made: bool) -> None:
        """Give what the attempt read back, as text or to be read again."""
        raw = self._tape.marked()
        if len(raw) > RESCAN_LIMIT:
            self._tape.forget()
            self._reply.say(raw)
            return
        self._tape.rewind()
        if not made:
            self._reply.say(self._tape.take(self._tape.at + 1))
