"""What comes out of the scanner: prose with its white space in order, and calls one after the other.

Written to by the scanner and by every reader. White space beside a call or a thought is the
template's: a run of it is held back until it is clear what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vllm_messages_plugin.formats.scanning.buffer import InputBuffer
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT
from vllm_messages_plugin.formats.scanning.pieces import Piece, Pieces, TextPiece, ThinkingPiece
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, parameters_of


class ScanOutput:
    """Takes what the readers found."""

    def __init__(
        self, tape: InputBuffer, tools: Sequence[Mapping[str, Any]], repaired: Callable[[str], None] | None
    ) -> None:
        self.tape = tape
        self.thinking = False
        self.line_start = True  # whether only blanks stand on the line so far
        self.at_head = True  # whether a segment has only just begun
        self.interrupted = False  # whether a call broke into a thought, whose closing tag may yet come
        self.answered = False  # whether text or a call has come
        self.thought_end = 0  # of the whole text, what comes before the answer: thoughts and their tags
        self.attempt = 0  # where in the whole text the markup that is being read began
        self._pieces = Pieces()
        self._tools = parameters_of(tools)
        self._repaired = repaired
        self._notes: dict[str, None] = {}
        self._index = 0
        self._name = ""
        self._held = ""
        self._flowing = False  # inside a run of white space too long to hold
        self._template_space = False  # whether line ends at the head are the template's

    # Prose

    def say(self, text: str) -> None:
        """Add to the text, or to the thought."""
        if not text:
            return
        self._track_line(text)
        text = self._held + text
        body = text.rstrip()
        if self._flowing:
            lead = text[: len(text) - len(text.lstrip())]
            self._emit(lead)
            text, body = text[len(lead) :], body[len(lead) :] if body else ""
        self._flowing = self._flowing and not body
        if body:
            self._emit_body(body)
        self._hold(text[len(body) :])

    def boundary(self, thinking: bool = False) -> None:
        """A call or a thought begins or ends: the white space before it was the template's."""
        self._held = ""
        self._flowing = False
        self.line_start = self.at_head = self._template_space = True
        self.thinking = thinking

    def finish(self) -> None:
        """The output ends: what was held back comes out, unless it was the template's."""
        if not self._template_space:
            self._emit(self._held)
        self._held = ""

    def drain(self) -> list[Piece]:
        """Hand out what has come."""
        return self._pieces.drain()

    def _emit_body(self, body: str) -> None:
        if self._template_space:
            lead = len(body) - len(body.lstrip())
            if lead <= SPACE_LIMIT:
                body = body[body.rfind("\n", 0, lead) + 1 :]
        self.at_head = self._template_space = False
        self._emit(body)

    def _hold(self, space: str) -> None:
        if self._flowing or len(space) > SPACE_LIMIT:
            self._emit(space)
            self._held, self._flowing, self._template_space = "", True, False
        else:
            self._held = space

    def _emit(self, text: str) -> None:
        if text:
            self.answered = self.answered or not self.thinking
            self._pieces.say(ThinkingPiece if self.thinking else TextPiece, text)

    def _track_line(self, text: str) -> None:
        line = text[text.rfind("\n") + 1 :]
        self.line_start = (self.line_start or len(line) < len(text)) and not line.strip()

    # Calls

    def offers(self, name: str) -> bool:
        """Whether a tool is offered."""
        return name in self._tools

    def node(self, name: str) -> SchemaNode | None:
        """The schema of a tool's arguments."""
        return self._tools.get(name)

    def begin(self, name: str) -> None:
        """A call begins: from here on there is no way back to text."""
        self.tape.forget()
        if self.thinking and not self.answered:
            self.thought_end = self.attempt
        self.answered = True
        self.interrupted = self.interrupted or self.thinking
        self.boundary()
        self._name = name
        self._pieces.begin(self._index, name)

    def write(self, arguments: str) -> None:
        """Add to the call's arguments."""
        self._pieces.argue(self._index, arguments)

    def end(self, whole: bool) -> None:
        """The call ends."""
        self._pieces.end(self._index, whole)
        if self._repaired:
            for note in self._notes:
                self._repaired(f"call {self._index} ({self._name}): {note}")
        self._notes.clear()
        self._index += 1

    def told(self, note: str) -> None:
        """Note a repair, for the log."""
        self._notes[note] = None

    def forget_notes(self) -> None:
        """What was being mended is no call."""
        self._notes.clear()
