"""What the scanner's tests share: a whole scan, its pieces joined, and unfinished JSON completed."""

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
class Heard:
    """A reply with its pieces joined."""

    text: str = ""
    thought: str = ""
    calls: list[tuple[str, str, bool]] = field(default_factory=list)  # name, arguments, whole
    order: str = ""  # t(ext), (t)h(ought), c(all)

    @property
    def made(self) -> list[tuple[str, Any]]:
        """The whole calls with their arguments read."""
        return [(name, json.loads(arguments)) for name, arguments, whole in self.calls if whole]


def pieces_of(scanner: Scanner, chunks: Iterable[str]) -> list[Piece]:
    """Everything a scanner says to some chunks and the end."""
    found = [piece for chunk in chunks for piece in scanner.feed(chunk)]
    return found + scanner.finish()


def join(pieces: Sequence[Piece]) -> Heard:
    """Join pieces, and check that they come in a legal order."""
    heard = Heard()
    is_open = False
    for piece in pieces:
        match piece:
            case TextPiece(text):
                assert text
                assert not is_open
                heard.text += text
                heard.order += "t" if heard.order[-1:] != "t" else ""
            case ThinkingPiece(text):
                assert text
                assert not is_open
                heard.thought += text
                heard.order += "h" if heard.order[-1:] != "h" else ""
            case CallPiece(index, name, arguments):
                assert is_open == (name is None)
                if name is not None:
                    assert index == len(heard.calls)
                    heard.calls.append((name, "", False))
                    heard.order += "c"
                    is_open = True
                known, before, _ = heard.calls[index]
                heard.calls[index] = (known, before + arguments, False)
            case CallEnd(index, whole):
                assert is_open
                assert index == len(heard.calls) - 1
                is_open = False
                heard.calls[index] = (*heard.calls[index][:2], whole)
    assert not is_open
    return heard


def split(text: str, size: int) -> list[str]:
    """A text in chunks of a size; 0 for one chunk."""
    return [text[at : at + size] for at in range(0, len(text), size)] if size else [text]


def scan(
    shape: str,
    chunks: str | Sequence[str],
    *,
    size: int = 0,
    tools: Sequence[Mapping[str, Any]] = tuple(TOOLS),
    thinking: ThinkingTags | None = None,
    calls: bool = True,
    repaired: Callable[[str], None] | None = None,
) -> Heard:
    """Scan a text and join what comes."""
    scanner = Scanner(FORMATS[shape], tools=tools, thinking=thinking, calls=calls, repaired=repaired)
    return join(pieces_of(scanner, split(chunks, size) if isinstance(chunks, str) else chunks))


def completed(unfinished: str) -> Any:
    """Close what unfinished JSON leaves open and read it; fails if it is not the beginning of JSON."""
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
