"""Reads a call that is a JSON object: `{"name": "f", "arguments": {...}}` and its kin.

Called by `sections`, behind the opening brace. The call begins as soon as its name is known and its
arguments begin; the last brace of the arguments waits for that of the object around them.
"""

from __future__ import annotations

import json
import re
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_char, run
from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import BLANKS, stands
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, copy_string

NAME_KEYS: Final = ("name", "tool_name", "function")
ARGUMENT_KEYS: Final = ("arguments", "parameters")
OTHER_KEYS: Final = ("type", "id", "tool_call_id", "call_id", "index")
NEST: Final = "function"  # OpenAI's own form has name and arguments inside a second object
_NAME: Final = re.compile(BLANKS["name"])


class JsonCallReader:
    """Reads one call object."""

    def __init__(self, reply: ScanOutput, spelling: CompiledCallSyntax, guarded: bool) -> None:
        self._reply = reply
        self._tape = reply.tape
        self._spelling = spelling
        self._guarded = guarded  # only offered tools, and no keys that calls don't have
        self._name: str | None = None
        self._kept: str | None = None  # arguments that came before the name
        self._other_keys = False
        self._depth = 1
        self._begun = False
        self._whole = False  # the arguments are

    def read(self) -> ReadGenerator[bool]:
        """Read the object; whether it is a call. If not, nothing has been handed out."""
        ended = yield from self._members()
        if self._begun:
            self._end(ended and self._whole)
        elif ended and self._name is not None:
            self._begin_late(self._name)
        return self._begun

    def _members(self) -> ReadGenerator[bool]:
        """Read member after member; False if the object is broken, cut, or no call."""
        while True:
            char = yield from next_char(self._tape)
            if char == "}":
                self._tape.at += 1
                self._depth -= 1
                if not self._depth:
                    return True
            elif char == ",":
                self._tape.at += 1
            elif char == '"':
                self._tape.at += 1
                if not (yield from self._member()):
                    return False
            else:
                return (yield from self._lacks_brace())

    def _member(self) -> ReadGenerator[bool]:
        key = yield from self._text()
        if key is None or (yield from next_char(self._tape)) != ":":
            return False
        self._tape.at += 1
        char = yield from next_char(self._tape)
        if self._begun:
            return (yield from self._skip())
        if self._spelling.form.kind == "keyed":
            self._name = key
            return char == "{" and bool(_NAME.fullmatch(key)) and (yield from self._arguments(char))
        if key == NEST and char == "{" and self._depth == 1:
            self._tape.at += 1
            self._depth += 1
            return True
        if key in NAME_KEYS and char == '"' and self._name is None:
            return (yield from self._take_name())
        if key in ARGUMENT_KEYS and self._kept is None and char in ("{", '"', "n"):
            if key != self._spelling.form.arguments:
                self._reply.told(repair.OTHER_KEY)
            return (yield from self._arguments(char))
        self._other_keys |= key not in OTHER_KEYS
        return not (self._guarded and self._other_keys) and (yield from self._skip())

    def _text(self) -> ReadGenerator[str | None]:
        """Read a string from behind its quote; None if it is cut."""
        parts: list[str] = []
        if not (yield from copy_string(self._tape, parts.append, self._reply.told)):
            return None
        text: str = json.loads(f'"{"".join(parts)}"')
        return text

    def _skip(self) -> ReadGenerator[bool]:
        return (yield from JsonReader(self._tape, _drop).value(None))

    def _take_name(self) -> ReadGenerator[bool]:
        self._tape.at += 1
        name = yield from self._text()
        if not name or not _NAME.fullmatch(name) or (self._guarded and not self._reply.offers(name)):
            return False
        self._name = name
        return True

    def _arguments(self, char: str) -> ReadGenerator[bool]:
        """Read the arguments: an object, the text of one, or null."""
        if self._name is None:
            return (yield from self._keep(char))
        if self._guarded and not self._reply.offers(self._name):
            return False
        if char == "{":
            self._tape.at += 1
            if (yield from next_char(self._tape)) not in ('"', "}"):
                return False
            self._begin()
            reader = JsonReader(self._tape, self._reply.write, self._reply.told)
            self._whole = yield from reader.members(self._reply.node(self._name))
            return self._whole
        if char == '"':
            self._tape.at += 1
            return (yield from self._text_arguments(self._name))
        return (yield from self._null_arguments())

    def _null_arguments(self) -> ReadGenerator[bool]:
        if not (yield from self._skip()):
            return False
        self._begin()
        self._whole = True
        self._reply.told(repair.NO_ARGUMENTS)
        return True

    def _text_arguments(self, name: str) -> ReadGenerator[bool]:
        """Read an object that is written as a string, while it is being written."""
        inner = TextArguments(self._reply, name)
        closed = yield from copy_string(self._tape, inner.push, self._reply.told)
        if closed:
            inner.finish()
        self._begun = inner.begun
        self._whole = closed and inner.whole
        return self._whole

    def _keep(self, char: str) -> ReadGenerator[bool]:
        """Keep the arguments until the name comes."""
        parts: list[str] = []
        if char == '"':
            self._tape.at += 1
            text = yield from self._text()
            self._reply.told(repair.TEXT_ARGUMENTS)
            self._kept = text
            return text is not None
        reader = JsonReader(self._tape, parts.append, self._reply.told)
        whole = yield from reader.value(None)
        self._kept = "".join(parts)
        return whole

    def _lacks_brace(self) -> ReadGenerator[bool]:
        """Whether the mark that ends the call stands here, so that only the last brace is missing."""
        if self._depth != 1 or not (self._begun or self._name):
            return False
        missing = yield from stands(self._tape, self._spelling.closers)
        if missing:
            self._reply.told(repair.MISSING_BRACE)
        return missing

    def _begin(self) -> None:
        self._begun = True
        self._reply.begin(self._name or "")
        self._reply.write("{")

    def _begin_late(self, name: str) -> None:
        """Begin a call of which the arguments came first, or not at all."""
        parts: list[str] = []
        if self._kept is not None:
            tape = InputBuffer(self._kept or "{}", ended=True)
            if run(next_char(tape)) not in ("{", "n"):
                return
            reader = JsonReader(tape, parts.append, self._reply.told)
            if not run(reader.value(self._reply.node(name))):
                return
            self._reply.told(repair.LATE_NAME)
        elif self._other_keys or self._guarded:
            return
        else:
            self._reply.told(repair.NO_ARGUMENTS)
        self._begin()
        arguments = "".join(parts)
        if arguments.startswith("{"):
            self._reply.write(arguments[1:-1])
        self._end(True)

    def _end(self, whole: bool) -> None:
        if whole:
            self._reply.write("}")
        self._reply.end(whole)


class TextArguments:
    """Arguments that come as the inside of a JSON string, read while they come."""

    def __init__(self, reply: ScanOutput, name: str) -> None:
        self.begun = False
        self.whole = False
        self._reply = reply
        self._name = name
        self._tape = InputBuffer()
        self._done = False
        self._reading = self._read()
        next(self._reading)

    def push(self, inside: str) -> None:
        """Take a piece of the string, escapes whole."""
        if not self._done:
            self._tape.push(json.loads(f'"{inside}"'))
            next(self._reading, None)

    def finish(self) -> None:
        """The string is closed."""
        self._tape.ended = True
        next(self._reading, None)

    def _read(self) -> ReadGenerator[None]:
        char = yield from next_char(self._tape)
        if char not in ("{", ""):
            self._done = True
            return
        self._tape.at += len(char)
        self._reply.told(repair.TEXT_ARGUMENTS if char else repair.NO_ARGUMENTS)
        self.begun = True
        self._reply.begin(self._name)
        self._reply.write("{")
        reader = JsonReader(self._tape, self._reply.write, self._reply.told)
        self.whole = not char or (yield from reader.members(self._reply.node(self._name)))
        self._done = True


def _drop(_: str) -> None:
    """Write nowhere."""
