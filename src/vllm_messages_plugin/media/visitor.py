"""Finds and replaces the image and document blocks of a request's user turns, wherever they are nested.

Blocks of assistant turns and system messages are not visited: the model is never shown their media.
A message, block or source in which nothing is replaced stays the same object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from vllm_messages_plugin.wire.blocks import (
    Block,
    ContentSource,
    DocumentBlockParam,
    ImageBlockParam,
    ToolResultBlockParam,
)
from vllm_messages_plugin.wire.request import MessageParam

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class MediaBlock:
    """An image or a document in a request.

    `path` is the block's JSON path, `messages.0.content.1`. `newest`: it stands in the newest user turn.
    `nested`: it stands inside a document.
    """

    path: str
    block: ImageBlockParam | DocumentBlockParam
    newest: bool
    nested: bool = False


Visit = Callable[[MediaBlock], Block]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of blocks stands."""

    path: str
    newest: bool
    nested: bool = False

    def under(self, step: str, nested: bool = False) -> "_Place":
        return _Place(f"{self.path}.{step}", self.newest, self.nested or nested)


def media_blocks(messages: Sequence[MessageParam]) -> list[MediaBlock]:
    """The images and documents of the user turns, in the request's order.

    A document whose source is a list of blocks is not listed itself; the images inside it are.
    """
    found: list[MediaBlock] = []

    def collect(media: MediaBlock) -> Block:
        found.append(media)
        return media.block

    replace_media(messages, collect)
    return found


def replace_media(messages: Sequence[MessageParam], visit: Visit) -> list[MessageParam]:
    """The messages with each block that `media_blocks` lists replaced by what `visit` returns for it."""
    newest = newest_user_turn(messages)
    return [
        _with(
            message, "content", _content(message.content, _Place(f"messages.{n}.content", n >= newest), visit)
        )
        if message.role == "user"
        else message
        for n, message in enumerate(messages)
    ]


def newest_user_turn(messages: Sequence[MessageParam]) -> int:
    """The position of the first message of the newest user turn.

    Adjoining user messages are one turn, and system messages between them do not end it.
    """
    last = max((n for n, message in enumerate(messages) if message.role == "user"), default=len(messages))
    assistants = (n for n in range(last - 1, -1, -1) if messages[n].role == "assistant")
    return next(assistants, -1) + 1 if last < len(messages) else last


def _content(content: str | list[Block] | None, place: _Place, visit: Visit) -> str | list[Block] | None:
    if not isinstance(content, list) or not any(map(_may_have_media, content)):
        return content
    visited = [_block(block, place.under(str(n)), visit) for n, block in enumerate(content)]
    return visited if any(new is not old for new, old in zip(visited, content, strict=True)) else content


def _may_have_media(block: Block) -> bool:
    """Whether a block is or may hold media; nearly none does, so nothing is made for the others."""
    if isinstance(block, ToolResultBlockParam):
        return isinstance(block.content, list)
    return isinstance(block, ImageBlockParam | DocumentBlockParam)


def _block(block: Block, place: _Place, visit: Visit) -> Block:
    match block:
        case DocumentBlockParam(source=ContentSource() as source):
            inner = _content(source.content, place.under("document.source.content", nested=True), visit)
            return _with(block, "source", _with(source, "content", inner))
        case ImageBlockParam() | DocumentBlockParam():
            return visit(MediaBlock(place.path, block, place.newest, place.nested))
        case ToolResultBlockParam():
            return _with(block, "content", _content(block.content, place.under("tool_result.content"), visit))
        case _:
            return block


def _with(model: Model, field: str, value: object) -> Model:
    """The model with another value in a field, or itself if it is the same value."""
    return model if getattr(model, field) is value else model.model_copy(update={field: value})
