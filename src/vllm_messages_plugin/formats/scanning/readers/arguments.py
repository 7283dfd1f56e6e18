"""Writes a call's arguments as the members of a JSON object, under the keys of the tool's schema.

All readers of arguments write through `ArgumentsWriter`, so keys are repaired alike in every format:

- A key that the schema lacks but for its case, its hyphens or its underscores gets the schema's key.
- The tool's own name among its arguments is dropped.
- Arguments that a model wrapped in one argument named `arguments`, `input` or the like (`WRAPPERS`) are
  unwrapped. That argument's value is captured instead of streamed, until it is known whether it is an object
  of the schema's keys.

A key that the schema has, or allows, is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.readers.json_value import convert_json
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, fits, schema_key

WRAPPERS: Final = ("arguments", "input", "parameters", "properties", "params", "args", "kwargs")
NAME: Final = "name"


class ArgumentsWriter:
    """Writes the members of one arguments object.

    Attributes:
        write: Receives the JSON of the current value. It changes with every key.
        node: The schema of the arguments; None if it is not known.
        keys: The keys written so far.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        note_repair: Callable[[str], None],
        node: SchemaNode | None,
        name: str,
    ) -> None:
        self.node = node
        self.keys: set[str] = set()
        self.write = write
        self._emit = write
        self._note = note_repair
        self._name = name
        self._captured: list[str] | None = None
        self._captured_key = ""

    def begin(self, key: str) -> SchemaNode | None:
        """Begin an argument.

        Args:
            key: The key as the model wrote it.

        Returns:
            The schema of the value.
        """
        if (key == NAME or not self.keys) and self._is_foreign(key):
            self._captured, self._captured_key = [], key
            self.write = self._captured.append
            return None if key == NAME else self.node
        key = self._corrected(key)
        if key in self.keys:
            self._note(repair.DUPLICATE_KEY)
        self._emit(f"{', ' if self.keys else ''}{repair.quote(key)}: ")
        self.keys.add(key)
        return self.node.property(key) if self.node else None

    def end(self) -> None:
        """End the value of the argument."""
        if self._captured is None:
            return
        captured, self._captured, self.write = "".join(self._captured), None, self._emit
        key = self._captured_key
        if key == NAME and json.loads(captured) == self._name:
            self._note(repair.NAME_AMONG_ARGUMENTS)
            return
        members = self._unwrapped(captured) if key != NAME else None
        if members is None:
            self._emit(f"{', ' if self.keys else ''}{repair.quote(key)}: {captured}")
            self.keys.add(key)
            return
        self._note(repair.WRAPPED_ARGUMENTS)
        self.keys.update(json.loads(f"{{{members}}}"))
        self._emit(members)

    def cut(self) -> None:
        """End the output inside the value of the argument."""
        if self._captured is not None:
            joint = ", " if self.keys else ""
            self._emit(f"{joint}{repair.quote(self._captured_key)}: {''.join(self._captured)}")

    def may_be_next(self, key: str) -> bool:
        """True if an argument of this key, as the model wrote it, may follow: a known one not given yet."""
        if self.node is None or not self.node.names:
            return key not in self.keys
        corrected = self._corrected(key)
        return corrected in self.node.names and corrected not in self.keys

    def requires(self, key: str) -> bool:
        """True if the schema requires an argument of this key, as the model wrote it."""
        return self.node is not None and self._corrected(key) in self.node.required

    def is_satisfied(self) -> bool:
        """True if all arguments that the schema requires were given; all of them, if it requires none."""
        node = self.node
        return node is not None and (node.required or node.names) <= self.keys

    def _corrected(self, key: str) -> str:
        corrected = schema_key(key, self.node, self.keys)
        if corrected != key:
            self._note(repair.SIMILAR_KEY)
        return corrected

    def _is_foreign(self, key: str) -> bool:
        """True if the key is none of the schema's, but one of those that stand around arguments."""
        node = self.node
        if node is None or key not in (*WRAPPERS, NAME) or not node.names or node.is_open:
            return False
        return key not in node.names

    def _unwrapped(self, captured: str) -> str | None:
        """The members of the captured object; None if it is not an object of the schema's keys."""
        found, _ = convert_json(captured, self.node)
        value = json.loads(found) if found is not None else None
        if found is None or not isinstance(value, dict) or self.node is None or not fits(value, self.node):
            return None
        return found[1:-1]
