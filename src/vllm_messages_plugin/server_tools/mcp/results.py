"""The result of an MCP tool as the client and the model read it: text blocks, at most so many tokens."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from vllm_messages_plugin.rounds.ledger import ServerToolResult
from vllm_messages_plugin.server_tools.mcp.history import RESULT_TYPE

MAX_RESULT_TOKENS: Final = 25_000
BYTES_PER_TOKEN: Final = 4
CUT: Final = "\n\n[The result goes on; only its first part is shown.]"

REFUSED: Final[Mapping[str, str]] = {
    "invalid_tool_input": "The arguments of the call are no JSON object.",
}


def tool_result(result: CallToolResult, max_tokens: int = MAX_RESULT_TOKENS) -> ServerToolResult:
    """The result of a call.

    Args:
        result: What the server answered.
        max_tokens: About how many tokens of it the model is shown.
    """
    return _result(bounded(list(texts_of(result)), max_tokens), result.is_error)


def failed(reason: str) -> ServerToolResult:
    """The result of a call that failed or was refused."""
    return _result([REFUSED.get(reason, reason)], True)


def _result(texts: list[str], is_error: bool) -> ServerToolResult:
    content = [{"type": "text", "text": text} for text in texts]
    return ServerToolResult({"type": RESULT_TYPE, "is_error": is_error, "content": content}, "\n".join(texts))


def texts_of(result: CallToolResult) -> Iterator[str]:
    """The texts of a result; what is no text is named. Without content its structured value is written."""
    found = [text for block in result.content if (text := _text(block))]
    if not found and result.structured_content is not None:
        found = [json.dumps(result.structured_content, ensure_ascii=False)]
    yield from found


def _text(block: Any) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type}: {block.mime_type}, not shown]"
        case ResourceLink():
            return f"[resource: {block.title or block.name}, {block.uri}]"
        case EmbeddedResource(resource=BlobResourceContents() as blob):
            return f"[resource: {blob.uri}, {blob.mime_type or 'binary'}, not shown]"
        case EmbeddedResource():
            return str(getattr(block.resource, "text", ""))
    return f"[{getattr(block, 'type', 'content')}: not shown]"


def bounded(texts: list[str], tokens: int) -> list[str]:
    """The texts, cut where they have more than about so many tokens together."""
    left = tokens * BYTES_PER_TOKEN
    found: list[str] = []
    for text in texts:
        data = text.encode("utf-8", "replace")
        if len(data) > left:
            return [*found, data[:left].decode("utf-8", "ignore") + CUT]
        left -= len(data)
        found.append(text)
    return found
