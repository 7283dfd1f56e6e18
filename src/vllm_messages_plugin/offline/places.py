"""Finds the parts of a request in the prompt that was rendered for it.

A template changes texts little: it trims them and puts markup around them. So each part is looked for by its
own text, in the order of the request and not before the part in front of it. A part that the template leaves
out, or writes in another way, has no place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.translate.cache_breakpoints import cache_breakpoints
from vllm_messages_plugin.wire.blocks import (
    Block,
    RedactedThinkingBlockParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from vllm_messages_plugin.wire.request import CountTokensRequest


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A part of a request and its place in the prompt.

    Attributes:
        path: the part's path in the request, such as `messages.0.content.1`.
        kind: `tool`, `system`, a block's type, or `cache_control`.
        start: offset of its first character in the prompt; None if the prompt does not have it as it stands.
        end: offset behind its last character.
    """

    path: str
    kind: str
    start: int | None
    end: int | None


def place_blocks(prompt: str, request: CountTokensRequest) -> tuple[PlacedBlock, ...]:
    """Return the tools, the system text and every block of the messages with their places in the prompt."""
    head = [*_tools(request), *_system(request)]
    # Tools stand before or after the system text, and templates sort neither; the messages come behind both.
    placed = [_place(prompt, part, 0) for part in head]
    cursor = max((block.end or 0 for block in placed if block.kind == "system"), default=0)
    for index, message in enumerate(request.messages):
        parts = _message(index, message.content)
        found = [_place(prompt, part, cursor) for part in parts]
        cursor = max([cursor, *(block.end or 0 for block in found)])
        placed += found
    return tuple(placed)


def place_breakpoints(prompt: str, request: CountTokensRequest) -> tuple[PlacedBlock, ...]:
    """Return the cache breakpoints with their places: the end of what is cached, as the server counts it."""
    return tuple(
        _breakpoint(prompt, index, point.text) for index, point in enumerate(cache_breakpoints(request))
    )


def _breakpoint(prompt: str, index: int, text: str | None) -> PlacedBlock:
    found = -1 if text is None else prompt.rfind(text)
    end = len(prompt) if text is None or found < 0 else found + len(text)
    return PlacedBlock(str(index), "cache_control", end, end)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a request and the texts by which it is found, in order."""

    path: str
    kind: str
    texts: Sequence[str]


def _place(prompt: str, part: _Part, start: int) -> PlacedBlock:
    first: int | None = None
    end = start
    for text in filter(None, map(str.strip, part.texts)):
        found = prompt.find(text, end)
        if found < 0:
            continue
        first = found if first is None else first
        end = found + len(text)
    return PlacedBlock(part.path, part.kind, first, None if first is None else end)


def _tools(request: CountTokensRequest) -> Iterator[_Part]:
    for index, tool in enumerate(request.tools or ()):
        yield _Part(f"tools.{index}", "tool", (tool.name or "",))


def _system(request: CountTokensRequest) -> Iterator[_Part]:
    if isinstance(request.system, str):
        yield _Part("system", "system", (request.system,))
    else:
        for index, block in enumerate(request.system or ()):
            yield _Part(f"system.{index}", "system", (block.text,))


def _message(index: int, content: str | Sequence[Block]) -> Iterator[_Part]:
    path = f"messages.{index}.content"
    if isinstance(content, str):
        yield _Part(path, "text", (content,))
        return
    for number, block in enumerate(content):
        yield _Part(f"{path}.{number}", block.type, tuple(_texts(block)))


def _texts(block: Block) -> Iterator[str]:
    """The texts that a block leaves in the prompt."""
    if isinstance(block, TextBlockParam):
        yield block.text
    elif isinstance(block, ThinkingBlockParam):
        yield block.thinking
    elif isinstance(block, ToolUseBlockParam):
        yield block.name
        yield from _values(block.input)
    elif isinstance(block, ToolResultBlockParam):
        if isinstance(block.content, str):
            yield block.content
        for inner in block.content if isinstance(block.content, list) else ():
            yield from _texts(inner)
    elif not isinstance(block, RedactedThinkingBlockParam):
        yield f"[{block.type}"


def _values(value: Any) -> Iterator[str]:
    """The texts of a call's arguments, in JSON's spelling where that differs."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, str):
        yield json.dumps(value, ensure_ascii=False)[1:-1]
    else:
        yield json.dumps(value, ensure_ascii=False)
