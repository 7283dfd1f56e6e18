"""Reads a complete reply: the documented way from a model's raw text to its pieces, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.pieces import (
    CallEnd,
    CallPiece,
    Piece,
    Pieces,
    TextPiece,
    ThinkingPiece,
)
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A reply, read to its end.

    Attributes:
        pieces: Text, thinking and calls in their order. Adjacent text is one piece, and so are a call's name
            and all of its arguments; a `CallEnd` follows each call.
        repairs: One line for each repair of a call.
    """

    pieces: tuple[Piece, ...]
    repairs: tuple[str, ...]


def read_reply(
    text: str | Iterable[str],
    format_name: str,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    thinking: ThinkingTags | None = None,
    cut: bool = False,
) -> ParsedReply:
    """Split a model's output into reply text, thinking and tool calls.

    Args:
        text: The raw output, complete or in chunks. The result does not depend on the chunks.
        format_name: The name of a tool-call format, a key of `formats.FORMATS`; "any" knows no model.
        tools: The offered tools, in OpenAI's form or in Anthropic's.
        thinking: The tags of thinking; None if the model does not think.
        cut: The output was cut by a limit.

    Returns:
        The pieces and the repairs.

    Raises:
        KeyError: There is no format of this name.

    Example:
        >>> read_reply('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', "hermes_json").pieces
        (CallPiece(index=0, name='f', arguments='{"a": 1}'), CallEnd(index=0, complete=True))
    """
    repairs: list[str] = []
    scanner = Scanner(FORMATS[format_name], tools=tools, thinking=thinking, on_repair=repairs.append)
    chunks = [text] if isinstance(text, str) else text
    pieces = [piece for chunk in chunks for piece in scanner.feed(chunk)]
    return ParsedReply(tuple(_joined((*pieces, *scanner.finish(cut=cut)))), tuple(repairs))


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Join adjacent pieces of the same kind."""
    joined = Pieces()
    for piece in pieces:
        match piece:
            case TextPiece(text) | ThinkingPiece(text):
                joined.add_text(type(piece), text)
            case CallPiece(index, name, arguments):
                if name is not None:
                    joined.begin_call(index, name)
                joined.add_arguments(index, arguments)
            case CallEnd(index, complete):
                joined.end_call(index, complete)
    return joined.drain()
