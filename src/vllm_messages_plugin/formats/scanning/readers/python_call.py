"""Reads the arguments of a Python call: `name(path='a', limit=5)`, behind the opening bracket.

Called by `sections`. Strings are passed on as they come; anything else waits for its end. A quote ends
a string only where the call could go on behind it, so an apostrophe is not taken for one.
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
from vllm_messages_plugin.formats.scanning.readers.json_value import Write, from_python, read_whole
from vllm_messages_plugin.formats.scanning.readers.values import ValueWriter, string_value
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, from_literal

_FIRST: Final = MarkupPattern(" {argument} =")
_NEXT: Final = MarkupPattern(" , {argument} =")
_END: Final = MarkupPattern(" )")
_COMMA_END: Final = MarkupPattern(" , )")
_AFTER: Final = (_NEXT, _END, _COMMA_END)
_QUOTES: Final = ('"""', "'''", '"', "'")
_AFTER_QUOTE: Final[Mapping[str, tuple[MarkupPattern, ...]]] = {
    quote: tuple(MarkupPattern(quote + mark.source) for mark in _AFTER) for quote in _QUOTES
}
_OPENING: Final = re.compile(r"([rRbBuUfF]{0,2})(\"\"\"|'''|\"(?!\")|'(?!')|\"\"(?!\")|''(?!'))")
_OPENING_BEGUN: Final = re.compile(r"[rRbBuUfF]{0,2}(?:\"{0,2}|'{0,2})\Z")
_PLAIN: Final = {"'": re.compile(r"[^\\']+"), '"': re.compile(r'[^\\"]+')}
_ESCAPE: Final = re.compile(
    r"\\(?:[\n\\'\"abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5})"
)
_ESCAPE_BEGUN: Final = re.compile(
    r"\\(?:[0-7]{0,2}|x[0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)\Z"
)
_SIMPLE: Final = {
    "\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b",
    "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_LAST_CODE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_OUTSIDE: Final = re.compile(r"[^'\"\[\](){},]+")


def read_python(reply: ScanOutput, name: str) -> ReadGenerator[bool]:
    """Read a call's arguments; False, with nothing handed out, if they are none."""
    found = yield from expect(reply.tape, (_END, _FIRST))
    if found is None:
        return False
    reply.begin(name)
    reply.write("{")
    node, keys = reply.node(name), set[str]()
    while found and "argument" in found.filled:
        key = found.filled["argument"]
        if key in keys:
            reply.told(repair.DUPLICATE_KEY)
        reply.write(f"{', ' if keys else ''}{repair.quote(key)}: ")
        keys.add(key)
        found = yield from _read_value(reply, node.property(key) if node else None)
    if found:
        reply.write("}")
    reply.end(whole=found is not None)
    return True


def _read_value(reply: ScanOutput, node: SchemaNode | None) -> ReadGenerator[PatternMatch | None]:
    """Read a value and what follows it; None if the call is broken or cut."""
    tape = reply.tape
    yield from next_char(tape)
    while _OPENING_BEGUN.match(tape.text, tape.at) and not tape.ended:
        yield
    opening = _OPENING.match(tape.text, tape.at)
    if opening:
        quote = opening[2] if len(opening[2]) != len("''") else opening[2][0]
        tape.at = opening.start(2) + len(quote)
        value = string_value(reply.write, node, reply.told)
        return (yield from _String(reply, quote, "r" in opening[1].lower(), value).read())
    text = yield from _collect(tape)
    if text is None:
        return None
    _write_literal(text.strip(), node, reply.write, reply.told)
    return (yield from expect(tape, _AFTER))


class _String:
    """A string under way, behind its opening quote."""

    def __init__(self, reply: ScanOutput, quote: str, raw: bool, value: ValueWriter) -> None:
        self._tape = reply.tape
        self._told = reply.told
        self._raw = raw
        self._value = value
        self._plain = _PLAIN[quote[0]]
        self._after = _AFTER_QUOTE[quote]
        self._single = len(quote) == 1
        self._found: PatternMatch | None = None

    def read(self) -> ReadGenerator[PatternMatch | None]:
        """Read to the closing quote, and what follows it; None if the output ends before."""
        tape = self._tape
        while True:
            plain = self._plain.match(tape.text, tape.at)
            if plain:
                self._value.add(plain[0])
                tape.at = plain.end()
            if not tape.spent and (self._escape() if tape.text[tape.at] == "\\" else self._quote()):
                if self._found:
                    self._value.close()
                    return self._found
            elif tape.ended:
                self._value.cut()
                return None
            else:
                yield

    def _escape(self) -> bool:
        """Read a backslash and what it escapes; False if that has not come."""
        tape = self._tape
        if self._raw:
            return self._raw_pair()
        if _ESCAPE_BEGUN.match(tape.text, tape.at) and not tape.ended:
            return False
        whole = _ESCAPE.match(tape.text, tape.at)
        self._value.add(_unescaped(whole[0][1:]) if whole else "\\")
        tape.at = whole.end() if whole else tape.at + 1
        return True

    def _raw_pair(self) -> bool:
        tape = self._tape
        if tape.at + 1 >= len(tape.text):
            return False
        self._value.add(tape.take(tape.at + 2))
        return True

    def _quote(self) -> bool:
        """Read a quote, which ends the string if the call can go on; False if that is not sure yet."""
        tape = self._tape
        found = match_first(self._after, tape.text, tape.at, tape.ended)
        if found is NoMatch.PARTIAL:
            return False
        if isinstance(found, PatternMatch):
            self._found = found
            tape.at = found.end
        else:
            if self._single:
                self._told(repair.INNER_QUOTE)
            self._value.add(tape.take(tape.at + 1))
        return True


def _unescaped(inside: str) -> str:
    if inside in _SIMPLE:
        return _SIMPLE[inside]
    if "\\" in inside:  # a pair of surrogates
        high, low = inside[1:5], inside[7:]
        return bytes.fromhex(high + low).decode("utf-16-be")
    code = int(inside[1:], 16) if inside[0] in "xuU" else int(inside, 8)
    return "�" if code in _SURROGATES or code > _LAST_CODE else chr(code)


def _collect(tape: InputBuffer) -> ReadGenerator[str | None]:
    """Read a value that is no string up to the comma or bracket behind it; None if the output ends."""
    parts: list[str] = []
    depth, quote = 0, ""
    while True:
        plain = (_PLAIN[quote] if quote else _OUTSIDE).match(tape.text, tape.at)
        if plain:
            parts.append(plain[0])
            tape.at = plain.end()
        escape = quote and not tape.spent and tape.text[tape.at] == "\\"
        if tape.at + bool(escape) >= len(tape.text):
            if tape.ended:
                return None
            yield
            continue
        char = tape.text[tape.at]
        if not quote and not depth and char in ",)":
            return "".join(parts)
        if char in "'\"":
            quote = "" if quote else char
        elif not quote:
            depth += (char in "[({") - (char in "])}")
            if depth < 0:
                return None
        parts.append(tape.take(tape.at + 1 + bool(escape)))


def _write_literal(text: str, node: SchemaNode | None, write: Write, told: Write) -> None:
    """Write a value that is no string as JSON."""
    types = node.types if node else None
    literal = repair.to_literal(text)
    if literal is not None:
        write(from_literal(literal, text, types))
        return
    found, repairs = read_whole(text, node)
    if found is None or repair.BAD_ESCAPE in repairs:  # an escape that JSON lacks, Python may have
        found = from_python(text, node) or found
    if found is not None:
        write(found)
        return
    told(repair.BARE_WORD)
    value = string_value(write, node, told)
    value.add(text)
    value.close()
