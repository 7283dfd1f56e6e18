"""The tags around thinking, and the drafts of calls inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.compiled import CompiledSection
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT
from vllm_messages_plugin.formats.scanning.stray_tags import ends_output

DRAFT_LIMIT: Final = 16_384  # characters behind a call in thinking that may show that the thinking goes on


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


class StrayThinkingTags:
    """Drops tags of thinking behind which no thinking stands.

    That is a closing tag at the end of the answer, and an opening tag at the start of a line that is closed
    at once. Any other tag in the answer is a mention, and text. Where the opening tag is not known a mention
    can't be told, and all tags are text.
    """

    def __init__(self, output: ScanOutput, tags: ThinkingTags | None) -> None:
        """Look for such tags in an output.

        Args:
            output: The output, with the input.
            tags: The tags of thinking; None if the model does not think.
        """
        self._output = output
        self._buffer = output.buffer
        self._tags = tags
        self._is_mentioned = False  # an opening tag was text

    def drop(self, literal: str) -> ReadGenerator[bool]:
        """Drop the tag that a literal is; False, with nothing read, if it is not to be dropped."""
        output, tags = self._output, self._tags
        if (
            tags is None
            or not tags.open
            or output.thinking
            or output.last_char == "`"
            or literal not in (tags.open, tags.close)
        ):
            return False
        if literal == tags.open:
            length = (yield from self._empty_length(literal, tags.close)) if output.line_start else 0
            self._is_mentioned |= not length
        else:
            is_dropped = not self._is_mentioned and (yield from ends_output(self._buffer, len(literal)))
            length = len(literal) if is_dropped else 0
        if length:
            self._buffer.at += length
            output.boundary()
        return bool(length)

    def _empty_length(self, opening: str, closing: str) -> ReadGenerator[int]:
        """The length of an opening tag with the closing tag behind it; 0 if anything stands between."""
        buffer = self._buffer
        while True:
            rest = buffer.text[buffer.at + len(opening) :]
            word = rest.lstrip()
            space = len(rest) - len(word)
            if word.startswith(closing):
                return len(opening) + space + len(closing)
            if space > SPACE_LIMIT or buffer.ended or not closing.startswith(word):
                return 0
            yield


class Drafts:
    """Tells calls that a model only considers while it thinks from calls that end its thinking.

    A call in thinking is a draft if the thinking goes on behind it: text follows, and then the closing tag.
    """

    def __init__(self, buffer: InputBuffer, rule: str, close: str) -> None:
        """Look for drafts in a buffer.

        Args:
            buffer: The input.
            rule: The format's `drafts`.
            close: The closing tag of thinking; "" if the model does not think.
        """
        self._buffer = buffer
        self._rule = rule
        self._close = close
        self._until = 0  # the position in the output up to which calls in thinking are drafts

    def contain(self, section: CompiledSection) -> ReadGenerator[bool]:
        """True if the call of a section that may start here is a draft."""
        buffer, tag = self._buffer, self._close
        if not tag or self._rule == "never":
            return False
        searched = buffer.position
        while buffer.position >= self._until:
            place = buffer.text.find(tag, max(buffer.at, searched - buffer.discarded))
            if place >= 0:
                close = section.source.close
                if close and buffer.text[buffer.at : place].rstrip().endswith(close):
                    return False
                self._until = buffer.discarded + place
            elif len(buffer.text) - buffer.at > DRAFT_LIMIT:
                if self._rule == "closed":
                    return False
                self._until = buffer.position + DRAFT_LIMIT
            elif buffer.ended:
                return False
            else:
                searched = buffer.discarded + max(buffer.at, len(buffer.text) - len(tag))
                yield
        return True
