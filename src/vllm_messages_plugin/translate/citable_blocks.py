"""Finds the documents and search results of a request, and whether its reply may cite them."""

from collections.abc import Iterator, Sequence

from vllm_messages_plugin.wire.blocks import (
    Block,
    DocumentBlockParam,
    SearchResultBlockParam,
    ToolResultBlockParam,
    WebResultBlockParam,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import MessageParam

CitableBlock = DocumentBlockParam | SearchResultBlockParam


def citable_blocks(messages: Sequence[MessageParam]) -> Iterator[tuple[str, CitableBlock]]:
    """The documents and search results of the user turns, each with its JSON path."""
    for number, message in enumerate(messages):
        if message.role == "user" and isinstance(message.content, list):
            yield from _among(message.content, f"messages.{number}.content")


def _among(blocks: Sequence[Block], path: str) -> Iterator[tuple[str, CitableBlock]]:
    for number, block in enumerate(blocks):
        if isinstance(block, DocumentBlockParam | SearchResultBlockParam):
            yield f"{path}.{number}", block
        elif isinstance(block, ToolResultBlockParam) and isinstance(block.content, list):
            yield from _among(block.content, f"{path}.{number}.content")


def is_citable(block: CitableBlock) -> bool:
    """Whether citations are enabled on a block."""
    return block.citations is not None and bool(block.citations.enabled)


def asks_for_citations(blocks: Sequence[tuple[str, CitableBlock]]) -> bool:
    """Whether the client asks for citations.

    Args:
        blocks: What `citable_blocks` found.

    Raises:
        MessagesError: 400, not for all documents, or not for all search results, alike.
    """
    asked = False
    for kind, name in ((DocumentBlockParam, "documents"), (SearchResultBlockParam, "search results")):
        of_kind = [
            (path, is_citable(block))
            for path, block in blocks
            if isinstance(block, kind) and not isinstance(block, WebResultBlockParam)
        ]
        odd = next((path for path, enabled in of_kind if enabled != of_kind[0][1]), None)
        if odd is not None:
            raise invalid(
                f"citations must be enabled on all {name} of a request or on none", f"{odd}.citations"
            )
        asked = asked or (bool(of_kind) and of_kind[0][1])
    return asked
