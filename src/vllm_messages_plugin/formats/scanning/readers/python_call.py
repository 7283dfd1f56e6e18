"""Reads the arguments of a Python-style call: `name(path='a', limit=5)`, behind the opening bracket.

Strings are emitted as they arrive; any other value when its end is certain. A quote ends a string only where
the call can go on behind it, so an apostrophe inside a string does not end it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import (
    MarkupPattern,
    NoMatch,
    PatternMatch,
    expect,
    match_first,
)
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.json_string import Write
from vllm_messages_plugin.formats.scanning.readers.json_value import convert_json, convert_python_literal
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, string_value
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, coerce_literal

_FIRST: Final = MarkupPattern(" {argument} =")
_NEXT: Final = MarkupPattern(" , {argument} =")
_END: Final = MarkupPattern(" )")
_COMMA_END: Final = MarkupPattern(" , )")
_AFTER: Final = (_NEXT, _END, _COMMA_END)
_QUOTES: Final = ('"""', "'''", '"', "'")
_AFTER_QUOTE: Final[Mapping[str, tuple[MarkupPattern, ...]]] = {
    quote: tuple(MarkupPattern(quote + pattern.source) for pattern in _AFTER) for quote in _QUOTES
}
_OPENING: Final = re.compile(r"([rRbBuUfF]{0,2})(\"\"\"|'''|\"(?!\")|'(?!')|\"\"(?!\")|''(?!'))")
_PARTIAL_OPENING: Final = re.compile(r"[rRbBuUfF]{0,2}(?:\"{0,2}|'{0,2})\Z")
_PLAIN: Final = {"'": re.compile(r"[^\\']+"), '"': re.compile(r'[^\\"]+')}
_ESCAPE: Final = re.compile(
    r"\\(?:[\n\\'\"abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5})"
)
_PARTIAL_ESCAPE: Final = re.compile(
    r"\\(?:[0-7]{0,2}|x[0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)\Z"
)
_SIMPLE: Final = {
    "\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b",
    "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_LAST_CODE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
# What may follow a call: the end of a list, another call, or markup.
_BEHIND_CALL: Final = re.compile(r"[ \t]*[\],;<`\n]")
_ESCAPED_LINE_END: Final = re.compile(r"[ \t]*\\(?:[nrt](?:\s|\\[nrt]|\\\Z)*|\Z)")
_CALLED_NAME: Final = re.compile(r"([\w.:/@$-]{1,200})(\(?)")
_LEADING_ZEROS: Final = re.compile(r"(-?)0+(\d+)")
_OUTSIDE: Final = re.compile(r"[^'\"\[\](){},]+")


def read_python(output: ScanOutput, name: str) -> ReadGenerator[bool]:
    """Read a call from behind its opening bracket; False, with nothing emitted, if it is none."""
    found = yield from expect(output.buffer, (_END, _FIRST))
    if found is None:
        return False
    output.begin_call(name)
    output.add_arguments("{")
    arguments = ArgumentsWriter(output.add_arguments, output.note_repair, output.schema_of(name), name)
    while found and "argument" in found.fields:
        node = arguments.begin(found.fields["argument"])
        found = yield from _read_value(output, arguments.write, node)
        if found:
            arguments.end()
        else:
            arguments.cut()
    if found:
        output.add_arguments("}")
    output.end_call(complete=found is not None)
    return True


def _read_value(
    output: ScanOutput, write: Write, node: SchemaNode | None
) -> ReadGenerator[PatternMatch | None]:
    """Read a value and what follows it; None if the call is broken or cut."""
    buffer = output.buffer
    yield from next_char(buffer)
    while _PARTIAL_OPENING.match(buffer.text, buffer.at) and not buffer.ended:
        yield
    opening = _OPENING.match(buffer.text, buffer.at)
    if opening:
        quote = opening[2] if len(opening[2]) != len("''") else opening[2][0]
        buffer.at = opening.start(2) + len(quote)
        value = string_value(write, node, output.note_repair)
        return (yield from _String(output, quote, "r" in opening[1].lower(), value).read())
    text = yield from _collect(buffer)
    if text is None:
        return None
    _write_literal(text.strip(), node, write, output.note_repair)
    return (yield from expect(buffer, _AFTER))


class _String:
    """Parser of a string, from behind its opening quote."""

    def __init__(self, output: ScanOutput, quote: str, raw: bool, value: ValueWriter) -> None:
        self._output = output
        self._buffer = output.buffer
        self._on_repair = output.note_repair
        self._raw = raw
        self._value = value
        self._plain = _PLAIN[quote[0]]
        self._after = _AFTER_QUOTE[quote]
        self._single = len(quote) == 1
        self._found: PatternMatch | None = None

    def read(self) -> ReadGenerator[PatternMatch | None]:
        """Read to the closing quote, and return what follows it; None if the output ends first."""
        buffer = self._buffer
        while True:
            plain = self._plain.match(buffer.text, buffer.at)
            if plain:
                self._value.add(plain[0])
                buffer.at = plain.end()
            if not buffer.exhausted and (self._escape() if buffer.text[buffer.at] == "\\" else self._quote()):
                if self._found:
                    self._value.close()
                    return self._found
            elif buffer.ended:
                self._value.cut()
                return None
            else:
                yield

    def _escape(self) -> bool:
        """Read a backslash and what it escapes; False if that has not arrived."""
        buffer = self._buffer
        if self._raw:
            return self._raw_pair()
        if _PARTIAL_ESCAPE.match(buffer.text, buffer.at) and not buffer.ended:
            return False
        escape = _ESCAPE.match(buffer.text, buffer.at)
        self._value.add(_unescaped(escape[0][1:]) if escape else "\\")
        buffer.at = escape.end() if escape else buffer.at + 1
        return True

    def _raw_pair(self) -> bool:
        buffer = self._buffer
        if buffer.at + 1 >= len(buffer.text):
            return False
        self._value.add(buffer.take(buffer.at + 2))
        return True

    def _quote(self) -> bool:
        """Read a quote, which ends the string if the call can go on; False if that is not decided yet."""
        buffer = self._buffer
        found = match_first(self._after, buffer.text, buffer.at, buffer.ended)
        if isinstance(found, PatternMatch) and "argument" not in found.fields:
            found = _behind_call(found, self._output)
        if found is NoMatch.PARTIAL:
            return False
        if isinstance(found, PatternMatch):
            self._found = found
            buffer.at = found.end
        else:
            if self._single:
                self._on_repair(repair.INNER_QUOTE)
            self._value.add(buffer.take(buffer.at + 1))
        return True


def _behind_call(end: PatternMatch, output: ScanOutput) -> PatternMatch | NoMatch:
    """Check what follows a call's closing bracket: a quote and a bracket inside a string look the same."""
    buffer = output.buffer
    rest = _BEHIND_CALL.match(buffer.text, end.end)
    if rest:
        return end
    line_end = _ESCAPED_LINE_END.match(buffer.text, end.end)
    if line_end:
        return _behind_line_end(end, line_end.end(), output)
    if not buffer.text[end.end :].strip():
        return end if buffer.ended else NoMatch.PARTIAL
    return NoMatch.NO


def _behind_line_end(end: PatternMatch, place: int, output: ScanOutput) -> PatternMatch | NoMatch:
    """Check what follows a line end that was written as two characters: markup or a call ends the call."""
    text, ended = output.buffer.text, output.buffer.ended
    if text.startswith(("```", "<"), place):
        return end
    word = _CALLED_NAME.match(text, place)
    if word and word[2]:
        return end if output.offers(word[1]) else NoMatch.NO
    is_open = place == len(text) or "```".startswith(text[place:]) or (word and word.end() == len(text))
    if is_open and not ended:
        return NoMatch.PARTIAL
    return end if place == len(text) else NoMatch.NO


def _unescaped(inside: str) -> str:
    if inside in _SIMPLE:
        return _SIMPLE[inside]
    if "\\" in inside:  # a pair of surrogates
        high, low = inside[1:5], inside[7:]
        return bytes.fromhex(high + low).decode("utf-16-be")
    code = int(inside[1:], 16) if inside[0] in "xuU" else int(inside, 8)
    return "�" if code in _SURROGATES or code > _LAST_CODE else chr(code)


def _collect(buffer: InputBuffer) -> ReadGenerator[str | None]:
    """Read a value that is no string up to the comma or bracket behind it; None if the output ends first."""
    parts: list[str] = []
    depth, quote = 0, ""
    while True:
        plain = (_PLAIN[quote] if quote else _OUTSIDE).match(buffer.text, buffer.at)
        if plain:
            parts.append(plain[0])
            buffer.at = plain.end()
        escape = quote and not buffer.exhausted and buffer.text[buffer.at] == "\\"
        if buffer.at + bool(escape) >= len(buffer.text):
            if buffer.ended:
                return None
            yield
            continue
        char = buffer.text[buffer.at]
        if not quote and not depth and char in ",)":
            return "".join(parts)
        if char in "'\"":
            quote = "" if quote else char
        elif not quote:
            depth += (char in "[({") - (char in "])}")
            if depth < 0:
                return None
        parts.append(buffer.take(buffer.at + 1 + bool(escape)))


def _write_literal(text: str, node: SchemaNode | None, write: Write, on_repair: Write) -> None:
    """Write a value that is no string as JSON."""
    types = node.types if node else None
    padded = _LEADING_ZEROS.fullmatch(text)
    literal = repair.to_literal(padded[1] + padded[2] if padded else text)
    if literal is not None:
        write(coerce_literal(literal, text, types))
        return
    found, repairs = convert_json(text, node)
    if found is None or repair.BAD_ESCAPE in repairs:  # an escape that JSON lacks, Python may have
        found = convert_python_literal(text, node) or found
    if found is not None:
        write(found)
        return
    on_repair(repair.BARE_WORD)
    value = string_value(write, node, on_repair)
    value.add(text)
    value.close()
