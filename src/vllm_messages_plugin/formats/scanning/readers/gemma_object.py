"""Reads Gemma's objects: JSON with bare keys and strings between marks, `{path:<|"|>a<|"|>,limit:5}`.

Called by `sections` in place of the JSON reader, of which it differs in keys, strings and bare words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char, sure_end
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, NoMatch, PatternMatch, match_first
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, Write
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, string_value

_KEY: Final = re.compile(r"[^\s:,{}\[\]\"<]{1,200}")
_BEHIND: Final = (" ,", " }", " ]")


class GemmaObjectReader(JsonReader):
    """Reads such an object; `quote` stands around its strings."""

    def __init__(
        self, quote: str, tape: InputBuffer, write: Write, told: Write, closers: Sequence[MarkupPattern] = ()
    ) -> None:
        super().__init__(tape, write, told, closers)
        self._quote = quote
        self._ends = tuple(MarkupPattern(quote + behind) for behind in _BEHIND)

    def _begins_key(self, char: str) -> bool:
        return char == '"' or bool(char and _KEY.match(char))

    def _read_key(self) -> ReadGenerator[str | None]:
        if self._tape.text.startswith('"', self._tape.at):
            return (yield from super()._read_key())
        while True:
            key = _KEY.match(self._tape.text, self._tape.at)
            if key is None:
                return None
            if key.end() < len(self._tape.text) or self._tape.ended:
                self._tape.at = key.end()
                return key[0]
            yield

    def _value(self) -> ReadGenerator[object]:
        tape = self._tape
        yield from next_char(tape)
        while self._quote.startswith(tape.text[tape.at :]) and not tape.ended:
            yield
        if not tape.text.startswith(self._quote, tape.at):
            return (yield from super()._value())
        tape.at += len(self._quote)
        value = string_value(self._write, self._node, self._told)
        return self._after if (yield from self._read_string(value)) else None

    def _read_string(self, value: ValueWriter) -> ReadGenerator[bool]:
        """Read a string to the mark behind which the object goes on; False if the output ends first."""
        tape, quote = self._tape, self._quote
        while True:
            text = tape.text
            place = text.find(quote, tape.at)
            value.add(tape.take(place if place >= 0 else sure_end(text, tape.at, quote)))
            found = match_first(self._ends, text, place, tape.ended) if place >= 0 else NoMatch.PARTIAL
            if isinstance(found, PatternMatch) or (tape.ended and tape.at + len(quote) == len(text)):
                tape.at += len(quote)
                value.close()
                return True
            if tape.ended:
                value.add(tape.take(len(text)))
                value.cut()
                return False
            if found is NoMatch.NO:
                value.add(tape.take(place + len(quote)))
            else:
                yield

    def _literal(self, token: str) -> str | None:
        literal = super()._literal(token)
        if literal is None:
            self._told(repair.BARE_WORD)
            return repair.quote(token)
        return literal
