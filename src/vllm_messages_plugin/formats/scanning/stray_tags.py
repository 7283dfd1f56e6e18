# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar
"""Drops a family's markup that is no call, no thinking and no text.

There are four kinds. Special tokens that carry no information, such as those that end a turn. Tags that
some families write around the reply text. Closing tags that close nothing, behind a call or at the end of the
reply. And another family's section tags around a call: the scanner drops those when it has read the call.

A tag that is an ordinary word may also be mentioned. So it is dropped only where a mention is out of the
question: an envelope's tags at the start and at the end of the text, a closing tag behind a call or at the
very end, and not if an opening tag before it was text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.compiled import CompiledFormat, section_tags
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    SPACE_LIMIT,
    NoMatch,
    PatternMatch,
    is_special_token,
    match_first,
)
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat

# Tokens that end a turn. A model that ends its turn with one of another family's has nothing to say by it.
TURN_ENDS: Final = (
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
)


class StrayTags:
    """Recognises markup to drop.

    Args:
        call_format: The format of the model.
        compiled: The compiled format; None if calls are not read.
        output: The output so far.
    """

    def __init__(
        self, call_format: ToolCallFormat, compiled: CompiledFormat | None, output: ScanOutput
    ) -> None:
        self._format = call_format
        self._output = output
        self._buffer: InputBuffer = output.buffer
        self._closing_tags = compiled.closing_tags if compiled else {}
        self._own = frozenset(call_format.markers)
        own = tuple(self._closing_tags)
        foreign = (*section_tags()[1], *TURN_ENDS) if compiled else ()
        self._foreign = frozenset(tag for tag in foreign if not own or not tag.startswith(own))
        self._section_ends = self._foreign | (compiled.closings if compiled else frozenset())
        self._envelopes = dict(call_format.envelopes)
        triggers = compiled.triggers.items() if compiled else ()
        self._openings = tuple(literal for literal, start in triggers if not start.bare)
        self._envelope_end = ""  # the closing tag of the envelope that is open
        self._unread_openings = 0  # opening tags that are text, so that their closing tags are text, too

    def literals(self) -> Iterator[str]:
        """Yield the literals with which markup begins that may have to be dropped."""
        yield from self._format.noise
        for tags in self._format.envelopes:
            yield from tags
        yield from self._closing_tags
        yield from self._foreign

    def note_unread_opening(self) -> None:
        """Note that an opening tag turned out to be text."""
        self._unread_openings += 1

    def drop(self, literal: str) -> ReadGenerator[bool]:
        """Drop the markup that a literal begins; False, with nothing read, if it is not to be dropped."""
        output = self._output
        if output.last_char == "`":
            return False
        length = len(literal)
        if literal in self._envelopes and output.at_head and not output.thinking:
            self._envelope_end = self._envelopes[literal]
        elif self._closes_envelope(literal) and (yield from self._ends_text(length)):
            self._envelope_end = ""
        elif literal not in self._format.noise:
            length = yield from self._closing_length(literal)
        if not length:
            return False
        self._buffer.at += length
        if not output.behind_call:
            output.boundary(thinking=output.thinking)
        return True

    def _closes_envelope(self, literal: str) -> bool:
        """True if a tag may close an envelope: the one that is open, or any behind a call."""
        is_behind = self._output.behind_call and literal in self._envelopes.values()
        return bool(literal) and (literal == self._envelope_end or is_behind)

    def _closing_length(self, literal: str) -> ReadGenerator[int]:
        """The length of a closing tag to drop; 0 if there is none."""
        buffer, output = self._buffer, self._output
        patterns = self._closing_tags.get(literal, ())
        if output.thinking or not (patterns or literal in self._foreign):
            return 0
        while (found := match_first(patterns, buffer.text, buffer.at, buffer.ended)) is NoMatch.PARTIAL:
            yield
        is_foreign = literal in self._foreign
        length = found.end - buffer.at if isinstance(found, PatternMatch) else len(literal) * is_foreign
        if not length or output.behind_call:
            return length
        if self._unread_openings:
            self._unread_openings -= literal in self._section_ends
            return 0
        if not output.answered and (yield from ends_output(buffer, length)) and not buffer.cut:
            return 0  # without it a complete reply would be empty
        is_own = bool(patterns) and literal in self._own
        is_dropped = is_own and (is_special_token(literal) or (yield from ends_output(buffer, length)))
        return length if is_dropped else 0

    def _ends_text(self, length: int) -> ReadGenerator[bool]:
        """True if nothing but whitespace, or a section of calls, follows a tag of this length."""
        buffer = self._buffer
        while True:
            rest = buffer.text[buffer.at + length :].lstrip()
            if rest.startswith(self._openings):
                return True
            if buffer.ended or (rest and not any(tag.startswith(rest) for tag in self._openings)):
                return not rest
            if len(buffer.text) - buffer.at - length - len(rest) > SPACE_LIMIT:
                return False
            yield


def ends_output(buffer: InputBuffer, length: int) -> ReadGenerator[bool]:
    """True if nothing but whitespace follows a tag of a length."""
    while True:
        rest = buffer.text[buffer.at + length :]
        if rest.strip() or len(rest) > SPACE_LIMIT:
            return False
        if buffer.ended:
            return True
        yield
