"""The beginning of markup in which a reply ends: it is no text, and no call came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning.compiled import CompiledSection
from vllm_messages_plugin.formats.scanning.output import ScanOutput

# The beginning of a tag, long enough not to be taken for text: `</to`, `<|to`, `[TO` where a limit cut the
# output, one character more where the model stopped by itself.
_TAG_FRAGMENT: Final = re.compile(r"[<\[]\W{0,3}\w{3}")
_CUT_TAG_FRAGMENT: Final = re.compile(r"[<\[]\W{0,3}\w{2}")
_WORD: Final = re.compile(r"[\w.:/-]+")


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

    def before(self, place: int) -> int:
        """The position before a tag that is cut at the end of the output; the text's length without one.

        Args:
            place: Where the text may end.
        """
        fragment = self._buffer.text[place:]
        pattern = _CUT_TAG_FRAGMENT if self._buffer.cut else _TAG_FRAGMENT
        if pattern.match(fragment) and any(tag.startswith(fragment) for tag in self._tags):
            return place
        return len(self._buffer.text)

    def ends_in(self, section: CompiledSection, has_call: bool) -> bool:
        """True if the output ended inside the markup of a call: what is left is no text.

        Args:
            section: The section that was read.
            has_call: A call of it was read before.
        """
        buffer, source = self._buffer, section.source
        if has_call and self._output.is_broken:
            return buffer.ended
        if not buffer.ended or not buffer.starved or source.foreign or not source.open:
            return False
        rest = buffer.text[buffer.at :].strip()
        is_tag = any(tag.startswith(rest) or rest.startswith(tag) for tag in self._tags if tag)
        if not rest:  # commas and brackets alone may be text, and so may words behind a call
            raw = buffer.marked().strip(" \n\t,;[]`")
            word = _WORD.match(raw) if has_call else None
            return self._output.begins_name(word[0]) if word else bool(raw)
        return is_tag or self._output.begins_name(rest)

    def drop(self, raw: str) -> None:
        """Drop the fragment, unless a reply that no limit cut would be empty without it.

        Args:
            raw: The text of the fragment.
        """
        output = self._output
        is_empty = not output.answered and (output.at_head or not output.thinking)
        if is_empty and not self._buffer.cut:
            output.add_text(raw)
        else:
            output.boundary(thinking=output.thinking)
