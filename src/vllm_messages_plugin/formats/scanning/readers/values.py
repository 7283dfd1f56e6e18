"""A value that comes as text, on its way into JSON: streamed if it is a string, else held to its end.

Used by the readers of tagged arguments (text says nothing of its type) and of Python calls (a string
is a string, unless the schema wants none).
"""

from __future__ import annotations

from typing import Final, Protocol

from vllm_messages_plugin.formats.scanning.readers.json_value import Write, typed
from vllm_messages_plugin.formats.scanning.repair import quote, quoted
from vllm_messages_plugin.formats.scanning.schema import FIRST_CHARS, SchemaNode, Types, takes_text

GUESS_LIMIT: Final = 32  # a text longer than this is no number


class ValueWriter(Protocol):
    """A value under way."""

    def add(self, text: str) -> None:
        """Take a piece."""

    def close(self) -> None:
        """The value ends here."""

    def cut(self) -> None:
        """The output ends here, inside the value."""


class StreamedValue:
    """A string, written as it comes."""

    def __init__(self, write: Write) -> None:
        self._write = write
        write('"')

    def add(self, text: str) -> None:
        """Take a piece."""
        if text:
            self._write(quoted(text))

    def close(self) -> None:
        """The value ends here."""
        self._write('"')

    def cut(self) -> None:
        """The output ends here, inside the value."""


class EnumValue:
    """A string of those that the schema lists: held while it can be one, and then without blanks around it.

    Models put blanks inside a tag, and grammars let them.
    """

    def __init__(self, write: Write, choices: frozenset[str]) -> None:
        self._write, self._choices = write, choices
        self._longest = max(map(len, choices)) + GUESS_LIMIT
        self._held = ""
        self._text: StreamedValue | None = None

    def add(self, text: str) -> None:
        """Take a piece."""
        if self._text is None:
            self._held += text
            if len(self._held) <= self._longest:
                return
            text, self._text = self._held, StreamedValue(self._write)
        self._text.add(text)

    def close(self) -> None:
        """The value ends here."""
        if self._text is not None:
            self._text.close()
            return
        bare = self._held.strip()
        self._write(quote(bare if self._held not in self._choices and bare in self._choices else self._held))

    def cut(self) -> None:
        """The output ends here, inside the value."""
        if self._text is None and self._held:
            StreamedValue(self._write).add(self._held)


class BufferedValue:
    """A value of which the type shows only at its end."""

    def __init__(self, write: Write, node: SchemaNode | None, told: Write) -> None:
        self._write, self._node, self._told = write, node, told
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        """Take a piece."""
        self._parts.append(text)

    def close(self) -> None:
        """The value ends here."""
        text = "".join(self._parts)
        self._write(typed(text, self._node, self._told) or quote(text))

    def cut(self) -> None:
        """The output ends here, inside the value."""


class DeferredValue:
    """A value that may be a string or something else: held while it can be something else."""

    def __init__(self, write: Write, node: SchemaNode | None, told: Write, types: Types) -> None:
        self._write = write
        self._held = BufferedValue(write, node, told)
        self._firsts = "".join(FIRST_CHARS[kind] for kind in types if kind in FIRST_CHARS)
        self._text: StreamedValue | None = None
        self._beginning = ""
        self._boxed = False

    def add(self, text: str) -> None:
        """Take a piece."""
        if self._text:
            self._text.add(text)
        elif self._boxed:
            self._held.add(text)
        else:
            self._beginning += text
            self._decide()

    def close(self) -> None:
        """The value ends here."""
        if self._text:
            self._text.close()
            return
        self._held.add(self._beginning)
        self._held.close()

    def cut(self) -> None:
        """The output ends here, inside the value."""
        if not self._text and not self._boxed and self._beginning:
            StreamedValue(self._write).add(self._beginning)

    def _decide(self) -> None:
        word = self._beginning.lstrip()
        near = len(self._beginning) - len(word) <= GUESS_LIMIT
        if near and word and word[0] in "[{" and word[0] in self._firsts:
            self._boxed = True
            self._held.add(self._beginning)
            self._beginning = ""
        elif (word and word[0] not in self._firsts) or len(self._beginning) > GUESS_LIMIT:
            self._text = StreamedValue(self._write)
            self._text.add(self._beginning)


def text_value(write: Write, node: SchemaNode | None, told: Write) -> ValueWriter:
    """A value of which only the schema knows the type."""
    choices = node.choices if node else None
    if choices:
        return EnumValue(write, choices)
    if node is None or node.types == frozenset(("string",)):
        return StreamedValue(write)
    if not takes_text(node):
        return BufferedValue(write, node, told)
    types = node.types if node.types is not None else frozenset(FIRST_CHARS)
    return DeferredValue(write, node, told, types)


def string_value(write: Write, node: SchemaNode | None, told: Write) -> ValueWriter:
    """A value that was written as a string."""
    return StreamedValue(write) if takes_text(node) else BufferedValue(write, node, told)
