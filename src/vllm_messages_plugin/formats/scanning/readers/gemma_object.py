"""Reads Gemma's argument objects, `{path:<|"|>a<|"|>,limit:5}`.

This is the JSON parser with other keys, strings and bare words. A delimiter ends a string only where the
object goes on behind it, so a delimiter within a string is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char, safe_end
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, Write
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, string_value

_KEY: Final = re.compile(r"[^\s:,{}\[\]\"<]{1,200}")
# What may follow a string.
_FOLLOWERS: Final = (" ,", " }", " ]")


class GemmaObjectReader(JsonReader):
    """Parser of such an object.

    Args:
        quote: The delimiter of strings.
        buffer, write, on_repair, closing_tags: As for `JsonReader`.
    """

    def __init__(
        self,
        quote: str,
        buffer: InputBuffer,
        write: Write,
        on_repair: Write,
        closing_tags: Sequence[MarkupPattern] = (),
    ) -> None:
        super().__init__(buffer, write, on_repair, closing_tags)
        self._quote = quote
        self._ends = tuple(MarkupPattern(quote + follower) for follower in _FOLLOWERS)

    def _begins_key(self, char: str) -> bool:
        return char == '"' or bool(char and _KEY.match(char))

    def _read_key(self) -> ReadGenerator[str | None]:
        if self._buffer.text.startswith('"', self._buffer.at):
            return (yield from super()._read_key())
        while True:
            key = _KEY.match(self._buffer.text, self._buffer.at)
            if key is None:
                return None
            if key.end() < len(self._buffer.text) or self._buffer.ended:
                self._buffer.at = key.end()
                return key[0]
            yield

    def _value(self) -> ReadGenerator[object]:
        buffer = self._buffer
        yield from next_char(buffer)
        while self._quote.startswith(buffer.text[buffer.at :]) and not buffer.ended:
            yield
        if not buffer.text.startswith(self._quote, buffer.at):
            return (yield from super()._value())
        buffer.at += len(self._quote)
        value = string_value(self._write, self._node, self._on_repair)
        return self._after if (yield from self._read_string(value)) else None

    def _read_string(self, value: ValueWriter) -> ReadGenerator[bool]:
        """Read a string to the delimiter that ends it; False if the output ends first."""
        buffer, quote = self._buffer, self._quote
        while True:
            text = buffer.text
            place = text.find(quote, buffer.at)
            value.add(buffer.take(place if place >= 0 else safe_end(text, buffer.at, quote)))
            found = match_first(self._ends, text, place, buffer.ended) if place >= 0 else NoMatch.PARTIAL
            if isinstance(found, PatternMatch) or (buffer.ended and buffer.at + len(quote) == len(text)):
                buffer.at += len(quote)
                value.close()
                return True
            if buffer.ended:
                value.add(buffer.take(len(text)))
                value.cut()
                return False
            if found is NoMatch.NO:
                value.add(buffer.take(place + len(quote)))
            else:
                yield

    def _literal(self, token: str) -> str | None:
        literal = super()._literal(token)
        if literal is None:
            self._on_repair(repair.BARE_WORD)
            return repair.quote(token)
        return literal
