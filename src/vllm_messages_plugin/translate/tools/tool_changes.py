"""Tools that a conversation adds, removes or refers to on the way, and which may be called at its end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.offered_functions import single_function
from vllm_messages_plugin.translate.tools.request_tools import ReferredTools, RequestTools, definition_text
from vllm_messages_plugin.wire.blocks import (
    Block,
    OtherBlockParam,
    TextBlockParam,
    ToolChangeBlockParam,
    ToolReferenceBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import MessageParam, ToolParam

_WITHOUT_TOOLS: Final = frozenset({TextBlockParam, ToolUseBlockParam})
"""Types of blocks that neither change tools nor refer to one: nearly all but results."""


def callable_tools(tools: RequestTools, messages: Sequence[MessageParam]) -> tuple[Function, ...]:
    """The tools that may be called at the conversation's end: shown or referred to, and not removed."""
    shown = {function["function"]["name"]: function for function in tools.shown}
    known, offered = {**tools.hidden, **shown}, dict(shown)
    for block in _blocks(messages):
        if type(block) in _WITHOUT_TOOLS:
            continue
        if isinstance(block, ToolChangeBlockParam) and block.type == "tool_removal":
            offered.pop(changed_tool_name(block), None)
            continue
        known.update(_added_functions(block))
        offered.update({name: known[name] for name in _referred_names(block) if name in known})
    return tuple(offered.values())


def _blocks(messages: Sequence[MessageParam]) -> Iterator[Block]:
    for message in messages:
        if isinstance(message.content, list):
            yield from message.content


def change_text(block: ToolChangeBlockParam, referred: ReferredTools) -> str:
    """A `tool_addition` or `tool_removal` as text; an addition as the tool's definition, if that is known."""
    if block.type == "tool_removal":
        return f"The tool {changed_tool_name(block)} is no longer available."
    definition = block.tool.get("definition")
    if not isinstance(definition, Mapping):
        return referred.text(changed_tool_name(block))
    function = _added_function(definition)
    return definition_text(function["function"] if function else definition)


def changed_tool_name(block: ToolChangeBlockParam) -> str:
    """The name of the tool that a `tool_addition` or `tool_removal` names."""
    definition = block.tool.get("definition")
    if isinstance(definition, Mapping):
        return str(definition.get("name") or "")
    return str(block.tool.get("name") or block.tool.get("tool_name") or block.tool.get("server_name") or "")


def _added_function(definition: Mapping[str, object]) -> Function | None:
    """The tool that a `tool_addition` defines; None for one that can't be offered and is only described."""
    try:
        return single_function(ToolParam.model_validate(definition), 0).function
    except (ValidationError, MessagesError):
        return None


def _added_functions(block: Block) -> dict[str, Function]:
    definition = block.tool.get("definition") if isinstance(block, ToolChangeBlockParam) else None
    function = _added_function(definition) if isinstance(definition, Mapping) else None
    return {function["function"]["name"]: function} if function else {}


def _referred_names(block: Block) -> list[str]:
    if isinstance(block, ToolChangeBlockParam):
        return [changed_tool_name(block)]
    if isinstance(block, ToolResultBlockParam) and isinstance(block.content, list):
        return [
            inner.referenced_name for inner in block.content if isinstance(inner, ToolReferenceBlockParam)
        ]
    return found_tool_names(block)


def found_tool_names(block: Block) -> list[str]:
    """The names of the tools that a server's tool search of an earlier turn found."""
    if not isinstance(block, OtherBlockParam) or block.type != "tool_search_tool_result":
        return []
    content = (block.model_extra or {}).get("content")
    found = content.get("tool_references") if isinstance(content, Mapping) else None
    found = found if isinstance(found, list) else []
    names = (each.get("tool_name") for each in found if isinstance(each, Mapping))
    return [name for name in names if isinstance(name, str)]
