"""Reads a call that is a JSON object, `{"name": "f", "arguments": {...}}` or similar, behind its brace.

The call begins as soon as its name is known and its arguments begin. The last brace of the arguments is
written only when the object around them has ended too, so a call that is cut between
the two stays unfinished.
"""

from __future__ import annotations

import json
import re
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char, run
from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import FIELDS, looking_at
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, copy_string

NAME_KEYS: Final = ("name", "tool_name", "function")
ARGUMENT_KEYS: Final = ("arguments", "parameters")
OTHER_KEYS: Final = ("type", "id", "tool_call_id", "call_id", "index")
NESTED_KEY: Final = "function"  # OpenAI's format puts name and arguments into an inner object
_NAME: Final = re.compile(FIELDS["name"])


class JsonCallReader:
    """Parser of one call object.

    Args:
        output: Receives the call.
        syntax: The syntax of the call.
        guarded: Accept only offered tools and only the keys that calls have.
    """

    def __init__(self, output: ScanOutput, syntax: CompiledCallSyntax, guarded: bool) -> None:
        self._output = output
        self._buffer = output.buffer
        self._syntax = syntax
        self._guarded = guarded
        self._name: str | None = None
        self._early_arguments: str | None = None  # arguments that came before the name
        self._other_keys = False
        self._depth = 1
        self._began = False
        self._complete = False  # the arguments object was read completely

    def read(self) -> ReadGenerator[bool]:
        """Read the object; False, with nothing emitted, if it is no call."""
        ended = yield from self._members()
        if self._began:
            self._end(ended and self._complete)
        elif ended and self._name is not None:
            self._emit_late(self._name)
        return self._began

    def _members(self) -> ReadGenerator[bool]:
        """Read the members; False if the object is broken, cut, or no call."""
        while True:
            char = yield from next_char(self._buffer)
            if char == "}":
                self._buffer.at += 1
                self._depth -= 1
                if not self._depth:
                    return True
            elif char == ",":
                self._buffer.at += 1
            elif char == '"':
                self._buffer.at += 1
                if not (yield from self._member()):
                    return False
            else:
                return (yield from self._may_lack_brace())

    def _member(self) -> ReadGenerator[bool]:
        key = yield from self._text()
        if key is None or (yield from next_char(self._buffer)) != ":":
            return False
        self._buffer.at += 1
        char = yield from next_char(self._buffer)
        if self._began:
            return (yield from self._skip())
        if self._syntax.source.kind == "keyed":
            self._name = key
            return char == "{" and bool(_NAME.fullmatch(key)) and (yield from self._arguments(char))
        if key == NESTED_KEY and char == "{" and self._depth == 1:
            self._buffer.at += 1
            self._depth += 1
            return True
        if key in NAME_KEYS and char == '"' and self._name is None:
            return (yield from self._take_name())
        if key in ARGUMENT_KEYS and self._early_arguments is None and char in ("{", '"', "n"):
            if key != self._syntax.source.arguments:
                self._output.note_repair(repair.OTHER_KEY)
            return (yield from self._arguments(char))
        self._other_keys |= key not in OTHER_KEYS
        return not (self._guarded and self._other_keys) and (yield from self._skip())

    def _text(self) -> ReadGenerator[str | None]:
        """Read a string from behind its opening quote; None if it is cut."""
        parts: list[str] = []
        if not (yield from copy_string(self._buffer, parts.append, self._output.note_repair)):
            return None
        text: str = json.loads(f'"{"".join(parts)}"')
        return text

    def _skip(self) -> ReadGenerator[bool]:
        return (yield from JsonReader(self._buffer, _drop).read_value(None))

    def _take_name(self) -> ReadGenerator[bool]:
        self._buffer.at += 1
        name = yield from self._text()
        if not name or not _NAME.fullmatch(name) or (self._guarded and not self._output.offers(name)):
            return False
        self._name = name
        return True

    def _arguments(self, char: str) -> ReadGenerator[bool]:
        """Read the arguments: an object, an object within a string, or null."""
        if self._name is None:
            return (yield from self._keep_arguments(char))
        if self._guarded and not self._output.offers(self._name):
            return False
        if char == "{":
            self._buffer.at += 1
            if (yield from next_char(self._buffer)) not in ('"', "}"):
                return False
            self._begin()
            reader = JsonReader(self._buffer, self._output.add_arguments, self._output.note_repair)
            self._complete = yield from reader.read_members(self._output.schema_of(self._name))
            return self._complete
        if char == '"':
            self._buffer.at += 1
            return (yield from self._text_arguments(self._name))
        return (yield from self._null_arguments())

    def _null_arguments(self) -> ReadGenerator[bool]:
        if not (yield from self._skip()):
            return False
        self._begin()
        self._complete = True
        self._output.note_repair(repair.NO_ARGUMENTS)
        return True

    def _text_arguments(self, name: str) -> ReadGenerator[bool]:
        """Read an object that is encoded as a string, while it arrives."""
        inner = TextArguments(self._output, name)
        closed = yield from copy_string(self._buffer, inner.push, self._output.note_repair)
        if closed:
            inner.finish()
        self._began = inner.began
        self._complete = closed and inner.complete
        return self._complete

    def _keep_arguments(self, char: str) -> ReadGenerator[bool]:
        """Keep arguments until the name arrives."""
        parts: list[str] = []
        if char == '"':
            self._buffer.at += 1
            text = yield from self._text()
            self._output.note_repair(repair.TEXT_ARGUMENTS)
            self._early_arguments = text
            return text is not None
        reader = JsonReader(self._buffer, parts.append, self._output.note_repair)
        complete = yield from reader.read_value(None)
        self._early_arguments = "".join(parts)
        return complete

    def _may_lack_brace(self) -> ReadGenerator[bool]:
        """True if the call's closing tag is here, so that only the last brace is missing."""
        if self._depth != 1 or not (self._began or self._name):
            return False
        missing = yield from looking_at(self._buffer, self._syntax.closing_tags)
        if missing:
            self._output.note_repair(repair.MISSING_BRACE)
        return missing

    def _begin(self) -> None:
        self._began = True
        self._output.begin_call(self._name or "")
        self._output.add_arguments("{")

    def _emit_late(self, name: str) -> None:
        """Emit a call whose arguments came before its name, or not at all."""
        parts: list[str] = []
        if self._early_arguments is not None:
            buffer = InputBuffer(self._early_arguments or "{}", ended=True)
            if run(next_char(buffer)) not in ("{", "n"):
                return
            reader = JsonReader(buffer, parts.append, self._output.note_repair)
            if not run(reader.read_value(self._output.schema_of(name))):
                return
            self._output.note_repair(repair.LATE_NAME)
        elif self._other_keys or self._guarded:
            return
        else:
            self._output.note_repair(repair.NO_ARGUMENTS)
        self._begin()
        arguments = "".join(parts)
        if arguments.startswith("{"):
            self._output.add_arguments(arguments[1:-1])
        self._end(True)

    def _end(self, complete: bool) -> None:
        if complete:
            self._output.add_arguments("}")
        self._output.end_call(complete)


class TextArguments:
    """Parser of arguments that are encoded as a JSON string, while it arrives."""

    def __init__(self, output: ScanOutput, name: str) -> None:
        self.began = False
        self.complete = False
        self._output = output
        self._name = name
        self._buffer = InputBuffer()
        self._done = False
        self._parser = self._read()
        next(self._parser)

    def push(self, inside: str) -> None:
        """Add a piece of the string's inside that holds complete escapes."""
        if not self._done:
            self._buffer.push(json.loads(f'"{inside}"'))
            next(self._parser, None)

    def finish(self) -> None:
        """End the string."""
        self._buffer.ended = True
        next(self._parser, None)

    def _read(self) -> ReadGenerator[None]:
        char = yield from next_char(self._buffer)
        if char not in ("{", ""):
            self._done = True
            return
        self._buffer.at += len(char)
        self._output.note_repair(repair.TEXT_ARGUMENTS if char else repair.NO_ARGUMENTS)
        self.began = True
        self._output.begin_call(self._name)
        self._output.add_arguments("{")
        reader = JsonReader(self._buffer, self._output.add_arguments, self._output.note_repair)
        self.complete = not char or (yield from reader.read_members(self._output.schema_of(self._name)))
        self._done = True


def _drop(_: str) -> None:
    """Write nothing."""
