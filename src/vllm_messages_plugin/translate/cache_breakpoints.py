"""The cache breakpoints of a request: where its `cache_control` fields end what is to be cached.

vLLM caches every prefix by itself, so a breakpoint changes nothing in the engine. It decides what `usage`
reports as written to the cache: the tokens up to the text at the breakpoint.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.wire.blocks import Block, TextBlockParam, ToolResultBlockParam, ToolUseBlockParam
from vllm_messages_plugin.wire.request import CountTokensRequest

ONE_HOUR = "1h"


@dataclass(frozen=True, slots=True)
class CacheBreakpoint:
    """One cache breakpoint.

    Attributes:
        text: The text in the prompt that the breakpoint follows; None for the end of the prompt.
        long: Whether the time to live is an hour.
    """

    text: str | None
    long: bool


def cache_breakpoints(request: CountTokensRequest) -> list[CacheBreakpoint]:
    """Return the breakpoints of a request in the order of the prompt."""
    found = list(_of_blocks(request))
    if isinstance(request.cache_control, Mapping):
        found.append(CacheBreakpoint(None, _long(request.cache_control)))
    return found


def _of_blocks(request: CountTokensRequest) -> Iterator[CacheBreakpoint]:
    for tool in request.tools or ():
        control = (tool.model_extra or {}).get("cache_control")
        if isinstance(control, Mapping):
            yield CacheBreakpoint(tool.name, _long(control))
    for text in request.system if isinstance(request.system, list) else ():
        if isinstance(text.cache_control, Mapping):
            yield CacheBreakpoint(text.text, _long(text.cache_control))
    for message in request.messages:
        for block in message.content if isinstance(message.content, list) else ():
            control = getattr(block, "cache_control", None)
            if isinstance(control, Mapping):
                yield CacheBreakpoint(_text(block), _long(control))


def _long(control: Mapping[str, Any]) -> bool:
    return control.get("ttl") == ONE_HOUR


def _text(block: Block) -> str | None:
    """Return the last text that a block adds to the prompt; None if it is not known."""
    if isinstance(block, TextBlockParam):
        return block.text
    if isinstance(block, ToolUseBlockParam):
        return block.name
    if isinstance(block, ToolResultBlockParam):
        if isinstance(block.content, str):
            return block.content
        texts = [inner.text for inner in block.content or () if isinstance(inner, TextBlockParam)]
        return texts[-1] if texts else None
    return None
