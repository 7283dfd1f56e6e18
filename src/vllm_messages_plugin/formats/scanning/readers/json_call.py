"""Reads a call that is a JSON object, `{"name": "f", "arguments": {...}}` or similar, behind its brace.

The call begins as soon as its name is known and its arguments begin. The last brace of the arguments is
written only when the object around them has ended too, so a call that is cut between
the two stays unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, ReadGenerator, next_token, run
from vllm_messages_plugin.formats.scanning.compiled import CompiledCallSyntax
from vllm_messages_plugin.formats.scanning.output import ScanOutput
from vllm_messages_plugin.formats.scanning.patterns import PLAIN_NAME, MarkupPattern, looking_at
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.json_scalar import read_quoted
from vllm_messages_plugin.formats.scanning.readers.json_string import copy_string, read_string
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader

QUOTES: Final = ('"', "\\", "'")  # with what a string may begin
NAME_KEYS: Final = ("name", "tool_name", "function", "tool")
ARGUMENT_KEYS: Final = ("arguments", "parameters", "input", "args")
OTHER_KEYS: Final = ("type", "id", "tool_call_id", "call_id", "index")
CALL_KEYS: Final = (*NAME_KEYS, *ARGUMENT_KEYS, *OTHER_KEYS)
NESTED_KEY: Final = "function"  # OpenAI's format puts name and arguments into an inner object


class JsonCallReader:
    """Parser of one call object.

    Args:
        output: Receives the call.
        syntax: The syntax of the call.
        guarded: Accept only offered tools and only the keys that calls have.
        brackets: What closes the list or the fence around the call.
    """

    def __init__(
        self,
        output: ScanOutput,
        syntax: CompiledCallSyntax,
        guarded: bool,
        brackets: Sequence[MarkupPattern] = (),
    ) -> None:
        self._output = output
        self._buffer = output.buffer
        self._syntax = syntax
        self._guarded = guarded
        self._ends = (*syntax.closing_tags, *brackets)
        self._name: str | None = None
        self._early_arguments: str | None = None  # arguments that came before the name
        self._other_keys = False
        self._depth = 1
        self._began = False
        self._complete = False  # the arguments object was read completely

    def read(self) -> ReadGenerator[bool]:
        """Read the object; False, with nothing emitted, if it is no call."""
        yield from self._skip_second_brace()
        ended = yield from self._members()
        if self._began:
            self._end(ended and self._complete)
        elif ended and self._name is not None:
            self._emit_late(self._name)
        return self._began

    def _skip_second_brace(self) -> ReadGenerator[None]:
        """Skip a brace that is written twice, as some prompts show it; the last one is punctuation."""
        if (yield from next_token(self._buffer)) == "{":
            self._buffer.at += 1
            self._output.note_repair(repair.EXTRA_BRACE)

    def _members(self) -> ReadGenerator[bool]:
        """Read the members; False if the object is broken, cut, or no call."""
        while True:
            char = yield from next_token(self._buffer)
            if char == "}":
                self._buffer.at += 1
                self._depth -= 1
                if not self._depth:
                    return True
            elif char == ",":
                self._buffer.at += 1
            elif char in QUOTES:
                if not (yield from self._member()):
                    return False
            else:
                return (yield from self._may_lack_brace())

    def _member(self) -> ReadGenerator[bool]:
        key = yield from read_quoted(self._buffer, self._output.note_repair, is_key=True)
        if key is None or not (yield from self._colon(key)):
            return False
        char = yield from next_token(self._buffer)
        if self._began:
            return (yield from self._skip())
        if self._syntax.source.kind == "keyed":
            self._name = key
            return (
                char in ("{", '"')
                and bool(PLAIN_NAME.fullmatch(key) or self._output.offers(key))
                and (yield from self._arguments(char))
            )
        if key == NESTED_KEY and char == "{" and self._depth == 1:
            self._buffer.at += 1
            self._depth += 1
            return True
        if key in NAME_KEYS and char in QUOTES and self._name is None:
            return (yield from self._take_name())
        if key in ARGUMENT_KEYS and self._early_arguments is None and char in ("{", '"', "n"):
            if key != self._syntax.source.arguments:
                self._output.note_repair(repair.OTHER_KEY)
            return (yield from self._arguments(char))
        self._other_keys |= key not in OTHER_KEYS
        return not (self._guarded and self._other_keys) and (yield from self._skip())

    def _colon(self, key: str) -> ReadGenerator[bool]:
        """Read the colon behind a key, which may be missing behind a key that calls have."""
        char = yield from next_token(self._buffer)
        if char == ":":
            self._buffer.at += 1
            return True
        if not char or char not in '"{' or key not in (*NAME_KEYS, *ARGUMENT_KEYS):
            return False
        self._output.note_repair(repair.MISSING_COLON)
        return True

    def _skip(self) -> ReadGenerator[bool]:
        return (yield from JsonReader(self._buffer, _drop).read_value(None))

    def _take_name(self) -> ReadGenerator[bool]:
        name = yield from read_quoted(self._buffer, self._output.note_repair)
        if not name or not (self._output.offers(name) or (PLAIN_NAME.fullmatch(name) and not self._guarded)):
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
            if (yield from next_token(self._buffer)) not in (*QUOTES, "}"):
                return False
            self._begin()
            self._complete = yield from read_arguments(self._output, self._buffer, self._name)
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
            text = yield from read_string(self._buffer, self._output.note_repair)
            self._output.note_repair(repair.TEXT_ARGUMENTS)
            self._early_arguments = text
            return text is not None
        reader = JsonReader(self._buffer, parts.append, self._output.note_repair)
        complete = yield from reader.read_value(None)
        self._early_arguments = "".join(parts)
        return complete

    def _may_lack_brace(self) -> ReadGenerator[bool]:
        """True if only the last brace is missing: what ends the call is here, or the model stopped."""
        if self._depth != 1 or not (self._began or self._name):
            return False
        buffer = self._buffer
        missing = yield from looking_at(buffer, self._ends)
        if not missing and self._complete:
            missing = buffer.ended and not buffer.cut and not buffer.text[buffer.at :].strip()
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
            if run(next_token(buffer)) not in ("{", "n"):
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
            run(read_arguments(self._output, InputBuffer(arguments[1:], ended=True), name))
        self._end(True)

    def _end(self, complete: bool) -> None:
        if complete:
            self._output.add_arguments("}")
        self._output.end_call(complete)


class TextArguments:
    """Parser of arguments that are encoded as a JSON string, while it arrives."""

    def __init__(self, output: ScanOutput, name: str) -> None:
        self._began = False
        self._complete = False
        self._inner: TextArguments | None = None
        self._output = output
        self._name = name
        self._buffer = InputBuffer()
        self._done = False
        self._parser = self._read()
        next(self._parser)

    @property
    def began(self) -> bool:
        """True if a call began."""
        return self._inner.began if self._inner else self._began

    @property
    def refused(self) -> bool:
        """True if the string encodes something that is no object."""
        return self._inner.refused if self._inner else self._done and not self._began

    @property
    def complete(self) -> bool:
        """True if the arguments were read completely."""
        return self._inner.complete if self._inner else self._complete

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
        char = yield from next_token(self._buffer)
        if char == '"':
            self._buffer.at += 1
            self._inner = TextArguments(self._output, self._name)
            if (yield from copy_string(self._buffer, self._inner.push, self._output.note_repair)):
                self._inner.finish()
            self._done = True
            return
        if char not in ("{", ""):
            self._done = True
            return
        self._buffer.at += len(char)
        self._output.note_repair(repair.TEXT_ARGUMENTS if char else repair.NO_ARGUMENTS)
        self._began = True
        self._output.begin_call(self._name)
        self._output.add_arguments("{")
        self._complete = not char or (yield from read_arguments(self._output, self._buffer, self._name))
        self._done = True


def read_text_arguments(output: ScanOutput, name: str) -> ReadGenerator[bool]:
    """Read a call's arguments from behind the opening quote of the string in which they are encoded.

    Returns:
        False, with nothing emitted, if the string encodes no object.
    """
    inner = TextArguments(output, name)
    closed = yield from copy_string(output.buffer, inner.push, output.note_repair)
    if closed:
        inner.finish()
    if inner.refused:
        output.buffer.starved = False  # what follows the quote is text, and no beginning of an object
    if inner.began:
        complete = closed and inner.complete
        if complete:
            output.add_arguments("}")
        output.end_call(complete)
    return inner.began


def read_arguments(output: ScanOutput, buffer: InputBuffer, name: str) -> ReadGenerator[bool]:
    """Read an arguments object from behind its opening brace; False if it is broken or cut."""
    arguments = ArgumentsWriter(output.add_arguments, output.note_repair, output.schema_of(name), name)
    return (yield from JsonReader(buffer, arguments.write, output.note_repair).read_members(arguments))


def _drop(_: str) -> None:
    """Write nothing."""
