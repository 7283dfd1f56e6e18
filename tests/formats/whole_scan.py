"""Support for tests of the scanner: scan a text, join the pieces, complete unfinished JSON."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from formats.samples import TOOLS
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

THINK = ThinkingTags("<think>", "</think>")
THINKING = ThinkingTags("<think>", "</think>", starts_open=True)


@dataclass
class ScanResult:
    """A scanned reply with its pieces joined."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str, bool]] = field(default_factory=list)  # name, arguments, complete
    order: str = ""  # t(ext), (t)h(ought), c(all)

    @property
    def complete_calls(self) -> list[tuple[str, Any]]:
        """The complete calls with their arguments parsed."""
        return [(name, json.loads(arguments)) for name, arguments, complete in self.calls if complete]


def pieces_of(scanner: Scanner, chunks: Iterable[str], *, cut: bool = False) -> list[Piece]:
    """Return everything that a scanner returns for some chunks and the end."""
    found = [piece for chunk in chunks for piece in scanner.feed(chunk)]
    return found + scanner.finish(cut=cut)


def join(pieces: Sequence[Piece]) -> ScanResult:
    """Join pieces, and check that they come in a legal order."""
    result = ScanResult()
    is_open = False
    for piece in pieces:
        match piece:
            case TextPiece(text):
                assert text
                assert not is_open
                result.text += text
                result.order += "t" if result.order[-1:] != "t" else ""
            case ThinkingPiece(text):
                assert text
                assert not is_open
                result.thinking += text
                result.order += "h" if result.order[-1:] != "h" else ""
            case CallPiece(index, name, arguments):
                assert is_open == (name is None)
                if name is not None:
                    assert index == len(result.calls)
                    result.calls.append((name, "", False))
                    result.order += "c"
                    is_open = True
                known, before, _ = result.calls[index]
                result.calls[index] = (known, before + arguments, False)
            case CallEnd(index, complete):
                assert is_open
                assert index == len(result.calls) - 1
                is_open = False
                result.calls[index] = (*result.calls[index][:2], complete)
    assert not is_open
    return result


def split(text: str, size: int) -> list[str]:
    """A text in chunks of a size; 0 for one chunk."""
    return [text[at : at + size] for at in range(0, len(text), size)] if size else [text]


def scan(
    format_name: str,
    chunks: str | Sequence[str],
    *,
    size: int = 0,
    tools: Sequence[Mapping[str, Any]] = tuple(TOOLS),
    thinking: ThinkingTags | None = None,
    calls: bool = True,
    on_repair: Callable[[str], None] | None = None,
    cut: bool = False,
) -> ScanResult:
    """Scan a text and join the pieces."""
    scanner = Scanner(FORMATS[format_name], tools=tools, thinking=thinking, calls=calls, on_repair=on_repair)
    return join(pieces_of(scanner, split(chunks, size) if isinstance(chunks, str) else chunks, cut=cut))


def completed(unfinished: str) -> Any:
    """Close what unfinished JSON leaves open and parse it; fails if it is no prefix of JSON."""
    closings, inside, skip = [], False, False
    for char in unfinished:
        if skip:
            skip = False
        elif inside:
            skip = char == "\\"
            inside = char != '"'
        elif char in "{[":
            closings.append("}" if char == "{" else "]")
        elif char in "}]":
            assert closings.pop() == char
        else:
            inside = char == '"'
    assert not skip
    text = unfinished + '"' * inside
    if text.rstrip().endswith((":", ",")):
        text += "null"
    return json.loads(text + "".join(reversed(closings)))
