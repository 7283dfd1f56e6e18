"""Reads calls whose name stands before their section's tag, `f[TOOL_CALLS]{...}`, as Mistral's may write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from vllm_messages_plugin.formats.scanning.buffer import ReadGenerator
from vllm_messages_plugin.formats.scanning.compiled import SectionStart
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.sections import read_call_of


class EarlyNames:
    """Finds the names of offered tools before sections' tags.

    Attributes:
        tags: The tags before which a name may stand; none in most formats.
    """

    def __init__(self, output: ScanOutput, triggers: Mapping[str, SectionStart]) -> None:
        """Look for names before some sections.

        Args:
            output: The output, with the input.
            triggers: The sections of the format, by the literal that begins each.
        """
        self._output = output
        self._buffer = output.buffer
        self.tags = [literal for literal, start in triggers.items() if start.section.source.bare_names]

    def stop(self, markup: re.Pattern[str]) -> re.Pattern[str]:
        """Return what ends plain text: markup, and a word at the end with which a tool's name may begin.

        Args:
            markup: Matches where markup may begin.
        """
        beginnings = self._output.name_beginnings if self.tags else frozenset()
        return _stop(markup.pattern, beginnings) if beginnings else markup

    def read(self, place: int, literal: str) -> ReadGenerator[bool]:
        """Read a call whose name stands before its section's tag.

        Args:
            place: The end of the text that has no markup.
            literal: The markup there; "" if more text may follow.

        Returns:
            False if there is none: then the text is read as usual.
        """
        buffer, output = self._buffer, self._output
        word = self._name_before(place)
        is_name = bool(word) and literal in self.tags and output.offers(word)
        if not word or (not is_name and (literal or buffer.ended)):
            return False
        output.add_text(buffer.take(place - len(word)))
        if not is_name:
            yield
            return True
        buffer.mark()
        output.attempt = buffer.position
        buffer.at += len(word) + len(literal)
        if not (yield from read_call_of(output, word)):
            buffer.rewind()
            output.add_text(buffer.take(buffer.at + len(word)))
        return True

    def _name_before(self, place: int) -> str:
        """The word before a place, if the name of an offered tool begins so; otherwise ""."""
        buffer, output = self._buffer, self._output
        text, at = buffer.text, buffer.at
        start = max(text.rfind(" ", at, place), text.rfind("\n", at, place)) + 1
        if start == place or not (start or output.at_word_start):
            return ""
        word = text[start or at : place]
        return word if output.begins_name(word) and not output.thinking else ""


@lru_cache(maxsize=64)
def _stop(markup: str, beginnings: frozenset[str]) -> re.Pattern[str]:
    """Compile what ends plain text, once for all requests whose tools have names that begin alike.

    Args:
        markup: A regular expression for where markup may begin.
        beginnings: The first two characters of each name.
    """
    seconds: dict[str, set[str]] = {}
    for beginning in beginnings:
        seconds.setdefault(beginning[0], set()).add(re.escape(beginning[1:]))
    names = "|".join(
        rf"{re.escape(first)}(?:{'|'.join(sorted(second))}|\Z)" for first, second in sorted(seconds.items())
    )
    return re.compile(rf"{markup}|(?:\A|[ \n])(?:{names})[^ \n]*\Z")
