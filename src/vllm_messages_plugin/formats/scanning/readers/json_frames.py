"""What an incremental JSON parse keeps of the objects that are open, and where it writes their members."""

from __future__ import annotations

from typing import Protocol

from vllm_messages_plugin.formats.scanning.readers.json_string import Write
from vllm_messages_plugin.formats.scanning.schema import SchemaNode


class Members(Protocol):
    """Writes the members of an arguments object: see `ArgumentsWriter`."""

    node: SchemaNode | None
    write: Write

    def begin(self, key: str) -> SchemaNode | None:
        """Begin a member and return the schema of its value."""

    def end(self) -> None:
        """End the value of the member."""

    def cut(self) -> None:
        """End the output inside the value."""


class Frame:
    """An object or array that is open."""

    __slots__ = ("closing", "empty", "keys", "node")

    def __init__(self, closing: str, node: SchemaNode | None) -> None:
        self.closing = closing
        self.node = node
        self.empty = True
        self.keys: set[str] = set()
