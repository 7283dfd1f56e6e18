"""Converts the tool calls that vLLM's parsers find into deltas whose arguments are always an object.

vLLM's parsers pass on whatever a model wrote as arguments, also `[1]` or `"x"`. Anthropic's API knows only
objects: a `tool_use` block with any other input could not be sent back. So a call is held back until its
arguments begin. An object streams from then on. Anything else is kept to its end: an object that is encoded
as a string is decoded, no arguments or `null` are an empty object, and a call with any other arguments is no
call. It becomes text, as with the scanner, and is counted as one that could not be read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from vllm_messages_plugin.formats.scanning.repair import TEXT_ARGUMENTS
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineToolCall
from vllm_messages_plugin.stream.observers import CallObserver


@dataclass(slots=True)
class _HeldCall:
    """A call whose arguments are not known to be an object.

    Attributes:
        name: The tool's name; None until it is known.
        arguments: The arguments so far.
    """

    name: str | None = None
    arguments: str = ""


class VllmCalls:
    """The calls of one reply."""

    def __init__(self, observer: CallObserver) -> None:
        """Begin a reply.

        Args:
            observer: Learns of each call whose arguments were decoded, or that became text.
        """
        self._observer = observer
        self._numbers: dict[int, int] = {}  # vLLM's index of a call -> its number without gaps
        self._held: dict[int, _HeldCall] = {}

    def add(self, index: int, name: str | None, arguments: str) -> list[EngineDelta]:
        """Add a piece of a call and return what can be passed on.

        Args:
            index: vLLM's index of the call.
            name: The tool's name, in one piece of the call.
            arguments: A piece of the arguments.
        """
        if index in self._numbers:
            return [EngineToolCall(self._numbers[index], name, arguments)]
        held = self._held.pop(index, None) or _HeldCall()
        deltas = self.end()
        held.name = held.name or name
        held.arguments += arguments
        if not held.arguments.lstrip().startswith("{"):
            self._held[index] = held
            return deltas
        return [*deltas, self._call(index, held.name, held.arguments)]

    def end(self, *, cut: bool = False) -> list[EngineDelta]:
        """End the calls that are held back and return what became of them.

        Args:
            cut: A limit ended the output, so that arguments may be incomplete.
        """
        held, self._held = self._held, {}
        return [delta for index, call in held.items() for delta in self._end(index, call, cut)]

    def _end(self, index: int, held: _HeldCall, cut: bool) -> list[EngineDelta]:
        written = held.arguments.strip()
        if written in ("", "null"):
            return [self._call(index, held.name, "")]
        decoded = _decoded_object(written)
        if decoded is not None:
            self._observer.add_repair(f"call {index} ({held.name}): {TEXT_ARGUMENTS}")
            return [self._call(index, held.name, decoded)]
        if cut:
            return []
        self._observer.add_raw_call()
        return [EngineText(f"{held.name or ''}{written}")]

    def _call(self, index: int, name: str | None, arguments: str) -> EngineToolCall:
        number = self._numbers[index] = len(self._numbers)
        return EngineToolCall(number, name, arguments)


def _decoded_object(written: str) -> str | None:
    """Return the object that a JSON string encodes, as JSON; None if it encodes none."""
    try:
        inner = json.loads(written)
        value = json.loads(inner) if isinstance(inner, str) else None
    except ValueError:
        return None
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else None
