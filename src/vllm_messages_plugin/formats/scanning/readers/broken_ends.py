"""Finds where a call ends whose own closing tags are missing or mangled.

The place to look at is behind a value that has its closing tag, or behind a complete call. There a model
wrote `</function1>`, `</a>` or `</tool_call` in the place of the right tag, or began the next call at once.
A tag that begins like one of the section's closing tags counts as that tag. Any other counts only where the
caller finds more evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator
from vllm_messages_plugin.formats.scanning.patterns import NoMatch

_SPACE: Final = re.compile(r"\s{0,64}")
_CLOSING_TAG: Final = re.compile(r"</(?:\uff5c\w{1,20}\uff5c )?[^<>\s/]{0,40} ?/?>?")
_CLOSING: Final = "</"


@dataclass(frozen=True, slots=True)
class MangledTag:
    """A closing tag that is not written as the format writes it.

    Attributes:
        end: The position behind the tag.
        ends_section: It begins like the section's closing tag; None if it is like no tag of the section.
    """

    end: int
    ends_section: bool | None


def skip_space(text: str, at: int) -> int:
    """Return the position behind the whitespace at a position."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def match_mangled(
    closings: tuple[tuple[str, bool], ...], text: str, at: int, ended: bool
) -> MangledTag | NoMatch:
    """Match a mangled closing tag, with whitespace before it.

    Args:
        closings: How the section's closing tags begin, and whether each is that of the section itself.
        text: The text that has arrived.
        at: Where to match.
        ended: True if no more text will arrive.
    """
    at = skip_space(text, at)
    if not text.startswith(_CLOSING, at):
        return NoMatch.PARTIAL if not ended and _CLOSING.startswith(text[at:]) else NoMatch.NO
    tag = _CLOSING_TAG.match(text, at)
    if tag is None:
        return NoMatch.NO
    if tag.end() == len(text) and not ended:
        return NoMatch.PARTIAL
    similar = [is_section for begin, is_section in closings if tag[0].startswith(begin)]
    return MangledTag(tag.end(), similar[0] if similar else None)


def read_mangled(
    buffer: InputBuffer, closings: tuple[tuple[str, bool], ...], in_section: bool
) -> ReadGenerator[bool | None]:
    """Read a mangled closing tag behind a complete call.

    Args:
        buffer: The input.
        closings: As for `match_mangled`.
        in_section: The section's opening tag was read, so that any closing tag is meant for it.

    Returns:
        Whether the section ended; None, with nothing read, if there is no such tag.
    """
    while True:
        found = match_mangled(closings, buffer.text, buffer.at, buffer.ended) if closings else NoMatch.NO
        if isinstance(found, MangledTag):
            if found.ends_section is None and not in_section:
                return None
            buffer.at = found.end
            return found.ends_section is not False
        if found is NoMatch.NO:
            return None
        yield
