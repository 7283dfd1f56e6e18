"""Writes a value that arrives as text as JSON: a string while it arrives, anything else at its end.

Between tags a value is plain text and only the schema says of which type it is. `text_value` and
`string_value` choose the writer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

from vllm_messages_plugin.formats.scanning.readers.json_string import Write
from vllm_messages_plugin.formats.scanning.readers.json_value import coerce_text
from vllm_messages_plugin.formats.scanning.repair import escaped, quote
from vllm_messages_plugin.formats.scanning.schema import FIRST_CHARS, SchemaNode, Types, accepts_string

SCALAR_LIMIT: Final = 32  # a longer text is no number
_LINE_END: Final = "\\n"
CHECKS_LIMIT: Final = 8  # how often a value is parsed to see whether it is complete

# DeepSeek writes in an attribute whether a value is text or JSON. It decides where the schema names no type.
_IS_STRING: Final = re.compile(r'\bstring="(true|false)"')
_UNTYPED: Final = SchemaNode({}, {})


class ValueWriter(Protocol):
    """Writes one value."""

    def add(self, text: str) -> None:
        """Add a piece of the text."""

    def close(self) -> None:
        """End the value."""

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""

    def is_settled(self) -> bool:
        """True if what was added is a value of the schema, and no text that may go on."""


class StreamedValue:
    """A string, written as it arrives."""

    def __init__(self, write: Write) -> None:
        self._write = write
        write('"')

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        if text:
            self._write(escaped(text))

    def close(self) -> None:
        """End the value."""
        self._write('"')

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""

    def is_settled(self) -> bool:
        """Text may always go on."""
        return False


class EnumValue:
    """An enum value: buffered while it may be a listed string, then written without whitespace around it.

    Models put whitespace inside a tag, and grammars allow it.
    """

    def __init__(self, write: Write, choices: frozenset[str]) -> None:
        self._write, self._choices = write, choices
        self._longest = max(map(len, choices)) + SCALAR_LIMIT
        self._buffered = ""
        self._text: StreamedValue | None = None

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        if self._text is None:
            self._buffered += text
            if len(self._buffered) <= self._longest:
                return
            text, self._text = self._buffered, StreamedValue(self._write)
        self._text.add(text)

    def close(self) -> None:
        """End the value."""
        if self._text is not None:
            self._text.close()
            return
        bare = self._buffered.strip()
        self._write(
            quote(bare if self._buffered not in self._choices and bare in self._choices else self._buffered)
        )

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""
        if self._text is None and self._buffered:
            StreamedValue(self._write).add(self._buffered)

    def is_settled(self) -> bool:
        """True if the text is a listed string."""
        return self._text is None and self._buffered.strip() in self._choices


class BufferedValue:
    """A value whose type is only known at its end."""

    def __init__(self, write: Write, node: SchemaNode | None, on_repair: Write) -> None:
        self._write, self._node, self._on_repair = write, node, on_repair
        self._parts: list[str] = []
        self._checks = 0

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        self._parts.append(text)

    def close(self) -> None:
        """End the value."""
        text = "".join(self._parts)
        self._write(coerce_text(text, self._node, self._on_repair) or quote(text))

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""

    def is_settled(self) -> bool:
        """True if the text is a value of the schema's types."""
        self._checks += 1
        return self._checks <= CHECKS_LIMIT and coerce_text("".join(self._parts), self._node) is not None


class EscapedLinesValue:
    """A value on lines of its own, whose line ends a model wrote as the two characters \\n.

    Args:
        value: Writes the value without the first and the last of them.
    """

    def __init__(self, value: ValueWriter) -> None:
        self._value = value
        self._held = ""
        self._has_begun = False

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        text = self._held + text
        if not self._has_begun and text == _LINE_END[0]:
            self._held = text
            return
        if not self._has_begun:
            text, self._has_begun = text.removeprefix(_LINE_END), bool(text)
        held = len(_LINE_END) if text.endswith(_LINE_END) else int(text.endswith(_LINE_END[0]))
        self._held = text[len(text) - held :]
        self._value.add(text[: len(text) - held])

    def close(self) -> None:
        """End the value."""
        self._value.add(self._held.removesuffix(_LINE_END))
        self._value.close()

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""
        self._value.cut()

    def is_settled(self) -> bool:
        """True if the text without the line end is a value of the schema, and no text that may go on."""
        return self._value.is_settled()


class DeferredValue:
    """A string or another type: buffered while it may be of the other type."""

    def __init__(self, write: Write, node: SchemaNode | None, on_repair: Write, types: Types) -> None:
        self._write = write
        self._buffered = BufferedValue(write, node, on_repair)
        self._first_chars = "".join(FIRST_CHARS[kind] for kind in types if kind in FIRST_CHARS)
        self._text: StreamedValue | None = None
        self._prefix = ""
        self._is_container = False

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        if self._text:
            self._text.add(text)
        elif self._is_container:
            self._buffered.add(text)
        else:
            self._prefix += text
            self._decide()

    def close(self) -> None:
        """End the value."""
        if self._text:
            self._text.close()
            return
        self._buffered.add(self._prefix)
        self._buffered.close()

    def cut(self) -> None:
        """End the output inside the value, which stays unfinished JSON."""
        if not self._text and not self._is_container and self._prefix:
            StreamedValue(self._write).add(self._prefix)

    def is_settled(self) -> bool:
        """Text may always go on."""
        return False

    def _decide(self) -> None:
        word = self._prefix.lstrip()
        near = len(self._prefix) - len(word) <= SCALAR_LIMIT
        if near and word and word[0] in "[{" and word[0] in self._first_chars:
            self._is_container = True
            self._buffered.add(self._prefix)
            self._prefix = ""
        elif (word and word[0] not in self._first_chars) or len(self._prefix) > SCALAR_LIMIT:
            self._text = StreamedValue(self._write)
            self._text.add(self._prefix)


def text_value(write: Write, node: SchemaNode | None, on_repair: Write) -> ValueWriter:
    """Return the writer of a value of which only the schema knows the type."""
    choices = node.choices if node else None
    if choices:
        return EnumValue(write, choices)
    if node is None or node.types == frozenset(("string",)):
        return StreamedValue(write)
    if not accepts_string(node):
        return BufferedValue(write, node, on_repair)
    types = node.types if node.types is not None else frozenset(FIRST_CHARS)
    return DeferredValue(write, node, on_repair, types)


def string_value(write: Write, node: SchemaNode | None, on_repair: Write) -> ValueWriter:
    """Return the writer of a value that the model wrote as a string."""
    return StreamedValue(write) if accepts_string(node) else BufferedValue(write, node, on_repair)


def typed_by_attribute(node: SchemaNode | None, fields: Mapping[str, str]) -> SchemaNode | None:
    kind = _IS_STRING.search(fields.get("attributes", ""))
    if kind and (node is None or node.types is None):
        return _UNTYPED if kind[1] == "false" else None
    return node
