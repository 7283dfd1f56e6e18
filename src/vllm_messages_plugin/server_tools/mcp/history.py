"""What a model reads of the results of MCP tools. Needs no MCP package."""

from collections.abc import Mapping
from typing import Any, Final

RESULT_TYPE: Final = "mcp_tool_result"


def restored_content(content: Any) -> str | list[Mapping[str, Any]]:
    """What a model reads of an `mcp_tool_result`, in its own reply and when it comes back."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, Mapping)]
    return [{"type": "text", "text": text} for text in texts if isinstance(text, str)]
