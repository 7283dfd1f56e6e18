"""Collects what the scanner finds: text and thinking with their whitespace in order, and calls.

Whitespace next to a call or to thinking belongs to the template, not to the reply. So a run of whitespace is
held back until it is clear what follows it: before text it is emitted, before a call it is dropped. A run
longer than `SPACE_LIMIT` characters is emitted as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer
from vllm_messages_plugin.formats.scanning.patterns import PLAIN_NAME, SPACE_LIMIT
from vllm_messages_plugin.formats.scanning.pieces import Piece, Pieces, TextPiece, ThinkingPiece
from vllm_messages_plugin.formats.scanning.readers.unnamed import find_tool
from vllm_messages_plugin.formats.scanning.schema import SchemaNode, parameters_of, similar_name

# Whitespace, or the two characters \\n that a model wrote in its place; the last one may still be coming.
_ESCAPED_SPACE: Final = re.compile(r"(?:\s|\\[nrt])*\\?")
# An id that a model wrote in the place of the tool's name.
_CALL_ID: Final = re.compile(
    r"(?:functions?\.)?(?:(?:toolu|chatcmpl)[-_]\S+|call[-_](?=\S*(?:\d|[a-z][A-Z]|[A-Z][a-z]))\S+|\d+)"
)
ODD_NAMES_LIMIT: Final = 8_000
"""The most characters of all beginnings of the names for which patterns are compiled, times two."""
NAME_PREFIXES: Final = ("functions.", "function.", "tools.", "tool.")


class ScanOutput:
    """The output of one scan, and the state that decides what markup means.

    Attributes:
        buffer: The input, whose bookmark is dropped when a call begins.
        thinking: True inside thinking.
        line_start: True if only whitespace stands on the current line so far.
        at_head: True if the current text or thinking has only just begun.
        interrupted: True if a call began inside thinking whose closing tag may still come.
        answered: True once reply text or a call was emitted.
        thinking_end: The number of characters of the output before the reply: thinking with its tags.
        is_broken: True if the last call was broken or cut.
        behind_call: True if nothing but whitespace was emitted since a call.
        last_char: The last character of the text so far; behind a backtick a tag is a mention.
        in_section: True if the call being read stands behind its section's opening tag.
        attempt: The position in the output at which the markup being read began.
    """

    def __init__(
        self,
        buffer: InputBuffer,
        tools: Sequence[Mapping[str, Any]],
        on_repair: Callable[[str], None] | None,
        on_raw_call: Callable[[], None] | None = None,
    ) -> None:
        self.buffer = buffer
        self.thinking = False
        self.line_start = True
        self.at_head = True
        self.interrupted = False
        self.answered = False
        self.thinking_end = 0
        self.is_broken = False
        self.behind_call = False
        self.last_char = ""
        self.in_section = False
        self.attempt = 0
        self._pieces = Pieces()
        self._tools = parameters_of(tools)
        self._name_starts = {name[:1] for name in self._tools}
        self._on_repair = on_repair
        self._on_raw_call = on_raw_call
        self._raw_end = 0  # the position in the output at which the last markup ended that could not be read
        self._repairs: dict[str, None] = {}
        self._index = 0
        self._name = ""
        self._unnamed: list[str] | None = None  # arguments of a call under an id, until its tool is known
        self._pending_space = ""
        self._long_space = False  # inside a run of whitespace that is too long to hold back
        self._template_space = False  # line ends at the head belong to the template

    # Text and thinking

    def add_text(self, text: str) -> None:
        """Add to the reply text, or to the thinking if that is open."""
        if not text or (self.behind_call and self._is_escaped_space(text)):
            return
        self.last_char = text[-1]
        if not (self._pending_space or self._long_space or self._template_space or self.last_char.isspace()):
            self._add_words(text)
            return
        self._track_line(text)
        text = self._pending_space + text
        body = text.rstrip()
        if self._long_space:
            lead = text[: len(text) - len(text.lstrip())]
            self._emit(lead)
            text, body = text[len(lead) :], body[len(lead) :] if body else ""
        self._long_space = self._long_space and not body
        if body:
            self._emit_body(body)
        self._hold_back(text[len(body) :])

    def _is_escaped_space(self, text: str) -> bool:
        """True if a text behind a call is whitespace, also escaped; then it is held back."""
        space = self._pending_space + text
        if len(space) > SPACE_LIMIT or not _ESCAPED_SPACE.fullmatch(space):
            return False
        self._pending_space = space
        return True

    def _add_words(self, text: str) -> None:
        """Add text that no whitespace held back precedes and that ends with none: the most common case."""
        if "\n" in text:
            self._track_line(text)
        else:
            self.line_start = False
        self.at_head = self.behind_call = False
        if self.thinking:
            self._pieces.add_text(ThinkingPiece, text)
        else:
            self.answered = True
            self._pieces.add_text(TextPiece, text)

    def boundary(self, thinking: bool = False) -> None:
        """Mark the start or end of a call or of thinking.

        Whitespace held back before it belongs to the template and is dropped.

        Args:
            thinking: Whether what follows is thinking.
        """
        self._pending_space = self.last_char = ""
        self._long_space = False
        self.line_start = self.at_head = self._template_space = True
        self.thinking = thinking

    def finish(self) -> None:
        """End the output: emit the whitespace held back, unless it belongs to the template."""
        if not self._template_space:
            self._emit(self._pending_space)
        self._pending_space = ""

    @property
    def at_word_start(self) -> bool:
        """True if what was emitted last is no part of a word that may go on."""
        return self.at_head or self._long_space or bool(self._pending_space)

    @property
    def calls(self) -> int:
        """The number of calls so far."""
        return self._index

    def drain(self) -> list[Piece]:
        """Return the pieces found since the last time."""
        return self._pieces.drain()

    def _emit_body(self, body: str) -> None:
        if self._template_space:
            lead = len(body) - len(body.lstrip())
            if lead <= SPACE_LIMIT:
                body = body[body.rfind("\n", 0, lead) + 1 :]
        self.at_head = self._template_space = self.behind_call = False
        self._emit(body)

    def _hold_back(self, space: str) -> None:
        if self._long_space or len(space) > SPACE_LIMIT:
            self._emit(space)
            self._pending_space, self._long_space, self._template_space = "", True, False
        else:
            self._pending_space = space

    def _emit(self, text: str) -> None:
        if text:
            self.answered = self.answered or not self.thinking
            self._pieces.add_text(ThinkingPiece if self.thinking else TextPiece, text)

    def _track_line(self, text: str) -> None:
        line = text[text.rfind("\n") + 1 :]
        self.line_start = (self.line_start or len(line) < len(text)) and not line.strip()

    # Calls

    def tool_name(self, name: str) -> str | None:
        """Return the offered tool that a name means; None if there is none.

        A name may differ from the tool's in case, hyphens, underscores and a prefix such as `functions.`.
        """
        if name in self._tools:
            return name
        plain = name.split(".", 1)[1] if name.startswith(NAME_PREFIXES) else name
        return plain if plain in self._tools else similar_name(plain, self._tools)

    def offers(self, name: str) -> bool:
        """True if a name means an offered tool."""
        return self.tool_name(name) is not None

    def may_be_called(self, name: str) -> bool:
        """True if a name means an offered tool, or if it is not known which tools are offered."""
        return not self._tools or self.offers(name)

    def begins_name(self, text: str) -> bool:
        """True if the name of an offered tool begins so."""
        return text[:1] in self._name_starts and any(name.startswith(text) for name in self._tools)

    @property
    def name_beginnings(self) -> frozenset[str]:
        """The first two characters of the names of the offered tools."""
        return frozenset(name[:2] for name in self._tools if name)

    @property
    def odd_names(self) -> frozenset[str]:
        """The names of offered tools that have other characters than names in markup are expected to have.

        Patterns are compiled for them, with each of their beginnings. Names beyond `ODD_NAMES_LIMIT` are left
        out, so that no request makes that expensive.
        """
        found: list[str] = []
        left = ODD_NAMES_LIMIT
        for name in filter(None, self._tools):
            cost = len(name) ** 2
            if cost <= left and not PLAIN_NAME.fullmatch(name):
                left -= cost
                found.append(name)
        return frozenset(found)

    def schema_of(self, name: str) -> SchemaNode | None:
        """Return the schema of a tool's arguments; None for an unknown tool."""
        return self._tools.get(self.tool_name(name) or "")

    def begin_call(self, name: str) -> None:
        """Begin a call. From here on, what was read cannot become text again."""
        self.buffer.forget()
        offered = self.tool_name(name)
        if offered not in (None, name):
            self.note_repair(repair.SIMILAR_NAME)
        name = offered or name
        if self.thinking and not self.answered:
            self.thinking_end = self.attempt
        self.answered = True
        self.interrupted = self.interrupted or self.thinking
        self.boundary()
        self._name = name
        if offered is None and self._tools and _CALL_ID.fullmatch(name):
            self._unnamed = []
        else:
            self._pieces.begin_call(self._index, name)

    def add_arguments(self, json_text: str) -> None:
        """Add to the arguments of the call that is open."""
        if self._unnamed is not None:
            self._unnamed.append(json_text)
        else:
            self._pieces.add_arguments(self._index, json_text)

    def end_call(self, complete: bool) -> None:
        """End the call that is open and report its repairs."""
        if self._unnamed is not None:
            self._name_call("".join(self._unnamed), complete)
        self._pieces.end_call(self._index, complete)
        self.is_broken = not complete
        self.behind_call = True
        if self._on_repair:
            for note in self._repairs:
                self._on_repair(f"call {self._index} ({self._name}): {note}")
        self._repairs.clear()
        self._index += 1

    def _name_call(self, arguments: str, complete: bool) -> None:
        """Emit a call whose tool is known only by its arguments."""
        self._unnamed = None
        if complete:
            self._name, arguments = find_tool(self._name, arguments, self._tools, self.note_repair)
        self._pieces.begin_call(self._index, self._name)
        self._pieces.add_arguments(self._index, arguments)

    def note_repair(self, note: str) -> None:
        """Note a repair of the call being read, to be reported once when it ends."""
        self._repairs[note] = None

    def note_raw_call(self, start: int, end: int) -> None:
        """Note that markup of a call could not be read and becomes text, unless it is a mere mention.

        Markup within it is not noted again.

        Args:
            start: The position in the output at which the markup begins.
            end: The position at which it ends.
        """
        is_mention = self.thinking or self.last_char == "`"
        if start >= self._raw_end and not is_mention:
            self._raw_end = end
            if self._on_raw_call:
                self._on_raw_call()

    def forget_repairs(self) -> None:
        """Forget the repairs of markup that turned out to be no call."""
        self._repairs.clear()
