"""Incremental JSON parser: copies a value that arrives in pieces to the output, repaired and typed.

How it works. The parser is a state machine with an explicit stack: each state is a method that reads one
token and returns the next state, and a frame on the stack is an object or array that is open. There is no
recursion, so a value may be nested to any depth. Like every parser in this package it is a generator that
yields when the text it needs has not arrived; the states survive the yield.

What is written when. The contents of a string are written as they arrive, at any depth: a long argument
streams. A number or literal is written when its end is certain, and so is a string for which the schema
allows no string, since "5" may become 5. At every moment what was written is a prefix of valid JSON.

What is changed. The parser repairs what `repair` lists, reports each repair, and converts scalars to the
schema's types. Anything else that is not JSON ends the parse with False, and nothing more is written.

Each character is matched by one regular expression in one state, so the work is linear in the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import (
    InputBuffer,
    ReadGenerator,
    next_token,
    run,
)
from vllm_messages_plugin.formats.scanning.patterns import MarkupPattern, looking_at
from vllm_messages_plugin.formats.scanning.readers.json_frames import Frame, Members
from vllm_messages_plugin.formats.scanning.readers.json_scalar import (
    read_quoted,
    read_scalar,
    read_single_quoted,
)
from vllm_messages_plugin.formats.scanning.readers.json_string import (
    Write,
    copy_string,
    ignore_repair,
    read_string,
    unescape,
)
from vllm_messages_plugin.formats.scanning.readers.python_literal import json_of_literal
from vllm_messages_plugin.formats.scanning.schema import (
    ANY,
    SchemaNode,
    accepts_string,
    scalar_from_text,
    schema_key,
)

State = Callable[[], ReadGenerator[object]]  # returns the next State, or None at the end

# With what a value may begin behind a key without its colon.
_VALUE_STARTS: Final = frozenset('"{[-0123456789tfnTFN')
UNWRAP_LIMIT: Final = 3  # how often a value may be encoded as a JSON string


class JsonReader:
    """Parser of one JSON value.

    Args:
        buffer: The input.
        write: Receives the JSON that was read.
        on_repair: Receives the name of each repair.
        closing_tags: Tags before which one last brace may be missing.
    """

    def __init__(
        self,
        buffer: InputBuffer,
        write: Write,
        on_repair: Write = ignore_repair,
        closing_tags: Sequence[MarkupPattern] = (),
    ) -> None:
        self._buffer = buffer
        self._write = write
        self._on_repair = on_repair
        self._closing_tags = closing_tags
        self._frames: list[Frame] = []
        self._node: SchemaNode | None = None
        self._complete = False
        self._arguments: Members | None = None
        self._lacks_comma = False  # no comma stood before the key that is read
        self._in_object = False  # the parse began behind an object's opening brace

    def read_value(self, node: SchemaNode | None) -> ReadGenerator[bool]:
        """Read a value of a schema; False if it is broken or cut."""
        self._node = node
        return (yield from self._run(self._value))

    def read_members(self, arguments: Members) -> ReadGenerator[bool]:
        """Read an object from behind its opening brace; its closing brace is read but not written."""
        self._frames, self._in_object = [Frame("}", arguments.node)], True
        self._arguments = arguments
        complete = yield from self._run(self._key)
        if not complete:
            arguments.cut()
        return complete

    def _run(self, state: State) -> ReadGenerator[bool]:
        self._complete = False
        now: object = state
        while callable(now):
            now = yield from now()
        return self._complete

    def _value(self) -> ReadGenerator[object]:
        char = yield from next_token(self._buffer)
        if char == '"':
            self._buffer.at += 1
            return (yield from self._string())
        if char == "\\":
            return (yield from self._escaped_string())
        if char == "{" or char == "[":
            self._buffer.at += 1
            self._write(char)
            self._frames.append(Frame("}" if char == "{" else "]", self._node))
            return self._key if char == "{" else self._item
        if char == "'":
            return (yield from self._single_quoted())
        return (yield from self._scalar())

    def _key(self) -> ReadGenerator[object]:
        frame = self._frames[-1]
        char = yield from next_token(self._buffer)
        if char == "}":
            return self._close()
        if not self._begins_key(char):
            return (yield from self._accept_missing_brace())
        key = yield from self._read_key()
        if key is None or not (yield from self._read_colon(key)):
            return None
        if self._arguments and len(self._frames) == 1:
            self._node = self._arguments.begin(key)
            self._write = self._arguments.write
            return self._value
        key = schema_key(key, frame.node, frame.keys)
        frame.keys.add(key)
        self._write(f"{'' if frame.empty else ', '}{repair.quote(key)}: ")
        frame.empty = False
        self._node = frame.node.property(key) if frame.node else None
        return self._value

    def _read_colon(self, key: str) -> ReadGenerator[bool]:
        """Read the colon behind a key, which may be missing; False if something else follows."""
        char = yield from next_token(self._buffer)
        lacks_comma, self._lacks_comma = self._lacks_comma, False
        if lacks_comma:
            node = self._frames[-1].node
            if char != ":" or (node is not None and node.names and key not in node.names):
                return False
            self._on_repair(repair.MISSING_COMMA)
        if char == ":":
            self._buffer.at += 1
        elif char in _VALUE_STARTS:
            self._on_repair(repair.MISSING_COLON)
        else:
            return False
        return True

    def _begins_key(self, char: str) -> bool:
        return char in ('"', "\\", "'")

    def _read_key(self) -> ReadGenerator[str | None]:
        return (yield from read_quoted(self._buffer, self._on_repair, is_key=True))

    def _item(self) -> ReadGenerator[object]:
        frame = self._frames[-1]
        char = yield from next_token(self._buffer)
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
        """Read what follows a value: the end, a comma, or the closing bracket."""
        if not self._frames:
            self._complete = True
            return None
        if self._arguments and len(self._frames) == 1:
            self._arguments.end()
            self._write = self._arguments.write
        closing = self._frames[-1].closing
        char = yield from next_token(self._buffer)
        if char == closing:
            return self._close()
        if char != ",":
            if not self._may_lack_comma(char, closing):
                return (yield from self._accept_missing_brace())
            return self._key if closing == "}" else self._item
        self._buffer.at += 1
        while (char := (yield from next_token(self._buffer))) == ",":
            self._on_repair(repair.EXTRA_COMMA)
            self._buffer.at += 1
        if char == closing:
            self._on_repair(repair.TRAILING_COMMA)
        return self._key if closing == "}" else self._item

    def _may_lack_comma(self, char: str, closing: str) -> bool:
        """True if a member, or an object of an array, may begin here although no comma came."""
        self._lacks_comma = closing == "}" and char == '"'
        if closing == "]" and char in ("{", "["):
            self._on_repair(repair.MISSING_COMMA)
            return True
        return self._lacks_comma

    def _close(self) -> object:
        self._buffer.at += 1
        frame = self._frames.pop()
        if not self._frames and self._in_object:
            self._complete = True
            return None
        self._write(frame.closing)
        return self._after

    def _accept_missing_brace(self) -> ReadGenerator[object]:
        """Give up, unless a closing tag follows and only the final `}` is missing; then add it."""
        if len(self._frames) > 1 or not self._in_object:
            return None
        if (yield from looking_at(self._buffer, self._closing_tags)):
            self._on_repair(repair.MISSING_BRACE)
            self._complete = True
        return None

    def _string(self) -> ReadGenerator[object]:
        if accepts_string(self._node):
            self._write('"')
            if not (yield from copy_string(self._buffer, self._write, self._on_repair)):
                return None
            self._write('"')
            return self._after
        parts: list[str] = []
        if not (yield from copy_string(self._buffer, parts.append, self._on_repair)):
            return None
        written = f'"{"".join(parts)}"'
        self._write(coerce_text(json.loads(written), self._node, self._on_repair) or written)
        return self._after

    def _escaped_string(self) -> ReadGenerator[object]:
        """Read a string with one layer of escaping too many, \\"text\\"."""
        text = yield from read_string(self._buffer, self._on_repair)
        if text is None:
            return None
        written = repair.quote(text)
        typed = None if accepts_string(self._node) else coerce_text(text, self._node, self._on_repair)
        self._write(typed or written)
        return self._after

    def _single_quoted(self) -> ReadGenerator[object]:
        """Read text in single quotes, as Python writes it."""
        text = yield from read_single_quoted(self._buffer)
        written = None
        if text is not None:
            is_text = accepts_string(self._node)
            written = repair.quote(text) if is_text else coerce_text(text, self._node, self._on_repair)
        if written is None:
            return None
        self._on_repair(repair.PYTHON_LITERAL)
        self._write(written)
        return self._after

    def _scalar(self) -> ReadGenerator[object]:
        written = yield from read_scalar(self._buffer, self._node, self._in_object, self._on_repair)
        if written is None:
            return None
        self._write(written)
        return self._after


def coerce_text(
    text: str, node: SchemaNode | None, on_repair: Write = ignore_repair, depth: int = UNWRAP_LIMIT
) -> str | None:
    """Return the JSON value that a text stands for, in the schema's types.

    Args:
        text: The text of a complete value.
        node: The schema; None for any type.
        on_repair: Receives the name of each repair.
        depth: How often the text may be JSON within a string.

    Returns:
        The value as JSON; None if the text can only be a string.
    """
    types = node.types if node and node.types is not None else ANY
    scalar = scalar_from_text(text, types)
    if scalar is not None:
        return scalar
    text = text.strip()
    if text.startswith('"') and "string" not in types:
        return _coerce_inner_text(text, node, on_repair, depth)
    if not (text.startswith("[") and "array" in types) and not (text.startswith("{") and "object" in types):
        return None
    found, repairs = convert_json(text, node)
    if found is None:
        found, repairs = convert_python_literal(text, node), [repair.PYTHON_LITERAL]
    if found is None and "\\" in text:
        unescaped = unescape(text)
        found = convert_json(unescaped, node)[0] if unescaped is not None else None
        repairs = [repair.ESCAPED_VALUE]
    if found is not None:
        for name in repairs:
            on_repair(name)
    return found


def _coerce_inner_text(text: str, node: SchemaNode | None, on_repair: Write, depth: int) -> str | None:
    """Return the JSON value that a text in quotes stands for, `"5"` for 5; None if there is none."""
    inner = unescape(text[1:-1]) if text.endswith('"') else None
    found = coerce_text(inner, node, on_repair, depth - 1) if inner is not None and depth else None
    if found is not None:
        on_repair(repair.ESCAPED_VALUE)
    return found


def convert_json(text: str, node: SchemaNode | None) -> tuple[str | None, list[str]]:
    """Read a text that is one JSON value.

    Returns:
        The value as JSON in the schema's types, or None if the text is no JSON value; and the repairs made.
    """
    buffer, parts, repairs = InputBuffer(text, ended=True), list[str](), list[str]()
    reader = JsonReader(buffer, parts.append, repairs.append)
    complete = run(reader.read_value(node))
    return ("".join(parts) if complete and not buffer.text[buffer.at :].strip() else None), repairs


def convert_python_literal(text: str, node: SchemaNode | None) -> str | None:
    """Return a Python list or dict as JSON in the schema's types; None if the text is none."""
    written = json_of_literal(text)
    return None if written is None else convert_json(written, node)[0]
