"""Parses a model's raw output with the scanner that reads it on the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import (
    CallEnd,
    CallPiece,
    Piece,
    Scanner,
    TextPiece,
    ThinkingPiece,
    ThinkingTags,
)
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat

THINK_TAGS = ThinkingTags("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """A tool call.

    Attributes:
        name: the tool.
        arguments: the arguments as JSON text; the beginning of it if the call is not complete.
        complete: False if the output ended inside the call.
    """

    name: str
    arguments: str = ""
    complete: bool = False

    @property
    def input(self) -> Any:
        """The arguments as a value; None if the call is not complete."""
        return json.loads(self.arguments) if self.complete else None


@dataclass(frozen=True, slots=True)
class ParsedOutput:
    """A model's output, read.

    Attributes:
        thinking: all thinking, joined.
        text: all reply text, joined.
        calls: the tool calls, in order.
        repairs: a line for each repair of a call.
        pieces: what the scanner returned, each with the number of characters read until then.
    """

    thinking: str
    text: str
    calls: tuple[ParsedCall, ...]
    repairs: tuple[str, ...]
    pieces: tuple[tuple[int, Piece], ...]


def parse_output(
    text: str,
    call_format: str | ToolCallFormat,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    thinking: ThinkingTags | None = THINK_TAGS,
    step: int | None = None,
) -> ParsedOutput:
    """Read a model's raw output.

    Args:
        text: the output, special tokens included.
        call_format: a tool-call format, or the name of one (docs/models.md); "any" reads every form that
            can be told from text.
        tools: the offered tools in OpenAI's form; their schemas give arguments their types.
        thinking: the tags of thinking, and whether the prompt has opened it; None for a model without.
        step: pass the text on in parts of so many characters, as a stream does; None: whole.

    Raises:
        KeyError: there is no such format.
    """
    repairs: list[str] = []
    syntax = FORMATS[call_format] if isinstance(call_format, str) else call_format
    scanner = Scanner(syntax, tools=tools, thinking=thinking, on_repair=repairs.append)
    pieces = tuple(_pieces(scanner, text, step or max(len(text), 1)))
    plain = [piece for _, piece in pieces]
    return ParsedOutput(
        thinking="".join(piece.text for piece in plain if isinstance(piece, ThinkingPiece)),
        text="".join(piece.text for piece in plain if isinstance(piece, TextPiece)),
        calls=_calls(plain),
        repairs=tuple(repairs),
        pieces=pieces,
    )


def _pieces(scanner: Scanner, text: str, step: int) -> Iterator[tuple[int, Piece]]:
    for start in range(0, len(text), step):
        end = min(start + step, len(text))
        for piece in scanner.feed(text[start:end]):
            yield end, piece
    for piece in scanner.finish():
        yield len(text), piece


def _calls(pieces: Sequence[Piece]) -> tuple[ParsedCall, ...]:
    calls: dict[int, ParsedCall] = {}
    for piece in pieces:
        if isinstance(piece, CallPiece):
            call = calls.setdefault(piece.index, ParsedCall(piece.name or ""))
            calls[piece.index] = replace(call, arguments=call.arguments + piece.arguments)
        elif isinstance(piece, CallEnd):
            calls[piece.index] = replace(calls[piece.index], complete=piece.complete)
    return tuple(calls.values())
