"""Reads a JSON value while it is being written, and writes it on: valid, and in the schema's types.

Used wherever a model writes JSON: call objects, arguments after a name, typed values between tags.
Strings are passed on as they come, also deep inside; a scalar waits for its end, and so does a string
where the schema wants no string. No recursion: a value may be nested as deep as it likes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char, run
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, stands
from vllm_messages_plugin.formats.scanning.schema import ANY, SchemaNode, from_literal, from_text, takes_text

Write = Callable[[str], None]
State = Callable[[], ReadGenerator[object]]  # object: the next State, or None

SCALAR_LIMIT: Final = 400
LITERAL_LIMIT: Final = 65_536  # of a Python literal, which is read as a whole
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]+')
_TOKEN: Final = re.compile(rf"[^\s,:\"\[\]{{}}<]{{1,{SCALAR_LIMIT}}}")


def silent(_: str) -> None:
    """Take no notice."""


def copy_string(tape: InputBuffer, write: Write, told: Write) -> ReadGenerator[bool]:
    """Copy a JSON string's inside, mended where JSON forbids it, and read its closing quote.

    False if the text ends before it.
    """
    while True:
        text, at = tape.text, tape.at
        plain = _PLAIN.match(text, at)
        if plain:
            write(plain[0])
            tape.at = at = plain.end()
        if at == len(text):
            if tape.ended:
                return False
            yield
        elif text[at] == '"':
            tape.at += 1
            return True
        elif text[at] != "\\":
            told(repair.CONTROL_CHARACTER)
            write(repair.quoted(tape.take(at + 1)))
        elif not _copy_escape(tape, write, told):
            if tape.ended:
                return False
            yield


def _copy_escape(tape: InputBuffer, write: Write, told: Write) -> bool:
    """Copy an escape; False if its end has not come."""
    whole = repair.ESCAPE.match(tape.text, tape.at)
    if whole:
        write(whole[0])
        tape.at = whole.end()
        return True
    if repair.ESCAPE_BEGUN.match(tape.text, tape.at):
        return False
    told(repair.BAD_ESCAPE)
    mended, length = repair.mend_escape(tape.text, tape.at)
    write(mended)
    tape.at += length
    return True


class _Frame:
    """An object or array that is open."""

    __slots__ = ("closing", "empty", "keys", "node")

    def __init__(self, closing: str, node: SchemaNode | None) -> None:
        self.closing = closing
        self.node = node
        self.empty = True
        self.keys: set[str] = set()


class JsonReader:
    """Reads JSON off a tape. `closers` are marks before which one last brace may be missing."""

    def __init__(
        self, tape: InputBuffer, write: Write, told: Write = silent, closers: Sequence[MarkupPattern] = ()
    ) -> None:
        self._tape = tape
        self._write = write
        self._told = told
        self._closers = closers
        self._frames: list[_Frame] = []
        self._node: SchemaNode | None = None
        self._whole = False
        self._inside = False  # began behind an object's brace

    def value(self, node: SchemaNode | None) -> ReadGenerator[bool]:
        """Read a value; False if it is broken or cut."""
        self._node = node
        return (yield from self._go(self._value))

    def members(self, node: SchemaNode | None) -> ReadGenerator[bool]:
        """Read an object from behind its brace to its closing brace, which is read and not written."""
        self._frames, self._inside = [_Frame("}", node)], True
        return (yield from self._go(self._key))

    def _go(self, state: State) -> ReadGenerator[bool]:
        self._whole = False
        now: object = state
        while callable(now):
            now = yield from now()
        return self._whole

    def _value(self) -> ReadGenerator[object]:
        char = yield from next_char(self._tape)
        if char == '"':
            self._tape.at += 1
            return (yield from self._string())
        if char == "{" or char == "[":
            self._tape.at += 1
            self._write(char)
            self._frames.append(_Frame("}" if char == "{" else "]", self._node))
            return self._key if char == "{" else self._item
        return (yield from self._scalar())

    def _key(self) -> ReadGenerator[object]:
        frame = self._frames[-1]
        char = yield from next_char(self._tape)
        if char == "}":
            return self._close()
        if not self._begins_key(char):
            return (yield from self._stuck())
        key = yield from self._read_key()
        if key is None or (yield from next_char(self._tape)) != ":":
            return None
        self._tape.at += 1
        if len(self._frames) == 1 and key in frame.keys:
            self._told(repair.DUPLICATE_KEY)
        frame.keys.add(key)
        self._write(f"{'' if frame.empty else ', '}{repair.quote(key)}: ")
        frame.empty = False
        self._node = frame.node.property(key) if frame.node else None
        return self._value

    def _begins_key(self, char: str) -> bool:
        return char == '"'

    def _read_key(self) -> ReadGenerator[str | None]:
        self._tape.at += 1
        parts: list[str] = []
        if not (yield from copy_string(self._tape, parts.append, self._told)):
            return None
        key: str = json.loads(f'"{"".join(parts)}"')
        return key

    def _item(self) -> ReadGenerator[object]:
        frame = self._frames[-1]
        char = yield from next_char(self._tape)
        if char == "]":
            return self._close()
        if char == "":
            return None
        if not frame.empty:
            self._write(", ")
        frame.empty = False
        self._node = frame.node.items() if frame.node else None
        return self._value

    def _after(self) -> ReadGenerator[object]:
        """What follows a value: the end, a comma, or the closing bracket."""
        if not self._frames:
            self._whole = True
            return None
        closing = self._frames[-1].closing
        char = yield from next_char(self._tape)
        if char == closing:
            return self._close()
        if char != ",":
            return (yield from self._stuck())
        self._tape.at += 1
        if (yield from next_char(self._tape)) == closing:
            self._told(repair.TRAILING_COMMA)
        return self._key if closing == "}" else self._item

    def _close(self) -> object:
        self._tape.at += 1
        frame = self._frames.pop()
        if not self._frames and self._inside:
            self._whole = True
            return None
        self._write(frame.closing)
        return self._after

    def _stuck(self) -> ReadGenerator[object]:
        """Nothing may stand here, unless it is markup and all that lacks is the last brace."""
        if len(self._frames) > 1 or not self._inside:
            return None
        if (yield from stands(self._tape, self._closers)):
            self._told(repair.MISSING_BRACE)
            self._whole = True
        return None

    def _string(self) -> ReadGenerator[object]:
        if takes_text(self._node):
            self._write('"')
            if not (yield from copy_string(self._tape, self._write, self._told)):
                return None
            self._write('"')
            return self._after
        parts: list[str] = []
        if not (yield from copy_string(self._tape, parts.append, self._told)):
            return None
        written = f'"{"".join(parts)}"'
        self._write(typed(json.loads(written), self._node, self._told) or written)
        return self._after

    def _scalar(self) -> ReadGenerator[object]:
        while True:
            token = _TOKEN.match(self._tape.text, self._tape.at)
            if token is None:
                return None
            if token.end() < len(self._tape.text):
                break
            if self._tape.ended and self._inside:  # it may have been cut
                return None
            if self._tape.ended or len(token[0]) == SCALAR_LIMIT:
                break
            yield
        written = self._literal(token[0])
        if written is None:
            return None
        self._tape.at = token.end()
        self._write(written)
        return self._after

    def _literal(self, token: str) -> str | None:
        literal = repair.to_literal(token)
        if literal is None:
            return None
        if token != literal:
            self._told(repair.PYTHON_LITERAL)
        return from_literal(literal, token, self._node.types if self._node else None)


def typed(text: str, node: SchemaNode | None, told: Write = silent) -> str | None:
    """The JSON that text stands for in the schema's types; None if it is only text."""
    types = node.types if node and node.types is not None else ANY
    scalar = from_text(text, types)
    if scalar is not None:
        return scalar
    text = text.strip()
    if not (text.startswith("[") and "array" in types) and not (text.startswith("{") and "object" in types):
        return None
    found, repairs = read_whole(text, node)
    if found is None:
        found, repairs = from_python(text, node), [repair.PYTHON_LITERAL]
    if found is not None:
        for line in repairs:
            told(line)
    return found


def read_whole(text: str, node: SchemaNode | None) -> tuple[str | None, list[str]]:
    """A text that is one JSON value, in the schema's types, and the repairs it took."""
    tape, parts, repairs = InputBuffer(text, ended=True), list[str](), list[str]()
    reader = JsonReader(tape, parts.append, repairs.append)
    whole = run(reader.value(node))
    return ("".join(parts) if whole and not tape.text[tape.at :].strip() else None), repairs


def from_python(text: str, node: SchemaNode | None) -> str | None:
    """A Python list or dict as JSON."""
    if len(text) > LITERAL_LIMIT:
        return None
    try:
        written = json.dumps(ast.literal_eval(text), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    paired = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return read_whole(paired, node)[0]
