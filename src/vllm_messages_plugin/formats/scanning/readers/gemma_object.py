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
from vllm_messages_plugin.formats.scanning.readers.json_scalar import literal_of
from vllm_messages_plugin.formats.scanning.readers.json_string import Write
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader
from vllm_messages_plugin.formats.scanning.readers.values import string_value
from vllm_messages_plugin.formats.scanning.schema import accepts_string

_KEY: Final = re.compile(r"[^\s:,{}\[\]\"'<][^:,{}\[\]\"<\n]{0,199}")
_BARE_WORD: Final = re.compile(r"[^,{}\[\]<>\"\n|]{1,400}")
# What may follow a string.
_FOLLOWERS: Final = (" ,", " }", " ]")
_APOSTROPHE: Final = "'"


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
        followers = (*_FOLLOWERS, *(tag.source for tag in closing_tags))
        self._quotes = {
            quote: tuple(MarkupPattern(quote + follower) for follower in followers)
            for quote in (quote, _APOSTROPHE)
        }
        self._key_quotes = {quote: (MarkupPattern(f"{quote} :"),) for quote in self._quotes}
        self._delimiter = quote

    def _begins_key(self, char: str) -> bool:
        return bool(char) and (char in ('"', _APOSTROPHE, self._delimiter[0]) or bool(_KEY.match(char)))

    def _may_lack_comma(self, char: str, closing: str) -> bool:  # noqa: ARG002 - the same in both
        found = self._begins_key(char) and char != self._delimiter[0]
        if found:
            self._on_repair(repair.MISSING_COMMA)
        return found

    def _read_key(self) -> ReadGenerator[str | None]:
        buffer = self._buffer
        quote = yield from self._opening_quote()
        if quote:
            parts: list[str] = []
            buffer.at += len(quote)
            closed = yield from self._read_delimited(quote, self._key_quotes[quote], parts.append)
            return "".join(parts) if closed else None
        if buffer.text.startswith('"', buffer.at):
            return (yield from super()._read_key())
        while True:
            key = _KEY.match(buffer.text, buffer.at)
            if key is None:
                return None
            if key.end() < len(buffer.text) or buffer.ended:
                buffer.starved = key.end() == len(buffer.text)
                buffer.at = key.end()
                return key[0].rstrip()
            yield

    def _opening_quote(self) -> ReadGenerator[str]:
        """Wait until it is decided whether a string in one of the delimiters begins here; "" if none does."""
        buffer = self._buffer
        while True:
            rest = buffer.text[buffer.at : buffer.at + len(self._delimiter)]
            found = next((quote for quote in self._quotes if rest.startswith(quote)), "")
            if found or buffer.ended or not self._delimiter.startswith(rest):
                return found
            yield

    def _value(self) -> ReadGenerator[object]:
        yield from next_char(self._buffer)
        quote = yield from self._opening_quote()
        if not quote:
            return (yield from super()._value())
        self._buffer.at += len(quote)
        value = string_value(self._write, self._node, self._on_repair)
        if not (yield from self._read_delimited(quote, self._quotes[quote], value.add)):
            value.cut()
            return None
        value.close()
        return self._after

    def _empty_value(self) -> object:
        """Take a value that is missing before a comma or a brace for empty text."""
        if self._buffer.text[self._buffer.at : self._buffer.at + 1] not in (",", "}") or not accepts_string(
            self._node
        ):
            return None
        self._on_repair(repair.BARE_WORD)
        self._write(repair.quote(""))
        return self._after

    def _read_delimited(self, quote: str, ends: Sequence[MarkupPattern], write: Write) -> ReadGenerator[bool]:
        """Read a string to the delimiter that ends it; False if the output ends first."""
        buffer = self._buffer
        while True:
            text = buffer.text
            place = text.find(quote, buffer.at)
            write(buffer.take(place if place >= 0 else safe_end(text, buffer.at, quote)))
            found = match_first(ends, text, place, buffer.ended) if place >= 0 else NoMatch.PARTIAL
            if isinstance(found, PatternMatch) or (buffer.ended and buffer.at + len(quote) == len(text)):
                buffer.at = place + len(quote) if place >= 0 else len(text)
                return True
            if buffer.ended:
                buffer.at = len(text)
                buffer.starved = True
                return False
            if found is NoMatch.NO:
                write(buffer.take(place + len(quote)))
            else:
                yield

    def _scalar(self) -> ReadGenerator[object]:
        """Read a number, a literal, or text without delimiters up to what may follow a value."""
        buffer = self._buffer
        while True:
            word = _BARE_WORD.match(buffer.text, buffer.at)
            if word is None:
                return self._empty_value()
            if word.end() < len(buffer.text):
                break
            if buffer.ended:
                buffer.at = word.end()
                return None
            yield
        buffer.at = word.end()
        token = word[0].strip()
        literal = literal_of(token, self._node, self._on_repair)
        if literal is None:
            self._on_repair(repair.BARE_WORD)
        self._write(literal or repair.quote(token))
        return self._after
