"""Tools and tool choice: which tools the model is shown, which it may call, and whether it must.

Called by `conversation`. Tools leave here as function definitions, the form chat templates read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from vllm_messages_plugin.wire.blocks import Block, ToolChangeBlock, ToolReferenceBlock, ToolResultBlock
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import CountTokensRequest, Message, Tool, ToolChoice

Function = dict[str, Any]
"""`{"type": "function", "function": {"name", "description", "parameters"}}`"""


@dataclass(frozen=True, slots=True)
class Choice:
    """`name` is set for "tool". `single`: at most one call (with "any" and "tool": exactly one)."""

    mode: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    single: bool = False

    @property
    def forced(self) -> bool:
        return self.mode in ("any", "tool")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a request.

    `shown` stand at the head of the prompt; `hidden` are deferred until something refers to them.
    """

    shown: tuple[Function, ...]
    hidden: Mapping[str, Function]

    def definition(self, name: str) -> str:
        """A hidden tool as text, to stand where it is referred to."""
        tool = self.hidden.get(name)
        return f"The tool {name} is available now." if tool is None else described(tool["function"])

    def addition(self, block: ToolChangeBlock) -> str:
        """A `tool_addition` as text: its own definition, or that of the tool it refers to."""
        definition = block.tool.get("definition")
        if not isinstance(definition, Mapping):
            return self.definition(changed_tool(block))
        function = defined(definition)
        return described(function["function"] if function else definition)


def described(definition: Mapping[str, Any]) -> str:
    """A tool's definition as text, in the form Claude Code's own tool search uses."""
    text = json.dumps(definition, ensure_ascii=False)
    return f"<functions>\n<function>{text}</function>\n</functions>"


def defined(definition: Mapping[str, Any]) -> Function | None:
    """The tool that a `tool_addition` brings along; None for one we can't offer, which is only told of."""
    try:
        return _function(Tool.model_validate(definition), "tool_addition")
    except (ValidationError, MessagesError):
        return None


def _function(tool: Tool, path: str) -> Function:
    if not tool.is_custom and tool.input_schema is None:
        raise invalid(f"tool type '{tool.type}' is not supported by this server", path)
    if not tool.name:
        raise invalid("Field required", f"{path}.name")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def toolbox(request: CountTokensRequest) -> Toolbox:
    """The toolbox of a request; if all its tools are deferred, all are shown.

    Raises:
        MessagesError: 400, a tool is of a type that this server can't offer.
    """
    entries = [(_function(tool, f"tools.{n}"), tool) for n, tool in enumerate(request.tools or [])]
    shown = tuple(function for function, tool in entries if not tool.defer_loading)
    if not shown:
        shown, entries = tuple(function for function, _ in entries), []
    hidden = {str(tool.name): function for function, tool in entries if tool.defer_loading}
    return Toolbox(shown, hidden)


def _blocks(messages: Sequence[Message]) -> Iterator[Block]:
    for message in messages:
        if isinstance(message.content, list):
            yield from message.content


def changed_tool(block: ToolChangeBlock) -> str:
    """The name a `tool_addition` or `tool_removal` speaks of."""
    definition = block.tool.get("definition")
    if isinstance(definition, Mapping):
        return str(definition.get("name") or "")
    return str(block.tool.get("name") or block.tool.get("tool_name") or block.tool.get("server_name") or "")


def callable_tools(box: Toolbox, messages: Sequence[Message]) -> tuple[Function, ...]:
    """What may be called at the conversation's end: tools shown or referred to, less those removed."""
    shown = {str(function["function"]["name"]): function for function in box.shown}
    known, offered = {**box.hidden, **shown}, dict(shown)
    for block in _blocks(messages):
        if isinstance(block, ToolChangeBlock) and block.type == "tool_removal":
            offered.pop(changed_tool(block), None)
            continue
        known.update(_brought(block))
        offered.update({name: known[name] for name in _referred(block) if name in known})
    return tuple(offered.values())


def _brought(block: Block) -> dict[str, Function]:
    definition = block.tool.get("definition") if isinstance(block, ToolChangeBlock) else None
    function = defined(definition) if isinstance(definition, Mapping) else None
    return {str(function["function"]["name"]): function} if function else {}


def _referred(block: Block) -> list[str]:
    if isinstance(block, ToolChangeBlock):
        return [changed_tool(block)]
    if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        return [inner.referred for inner in block.content if isinstance(inner, ToolReferenceBlock)]
    return []


def choice(asked: ToolChoice | None, functions: Sequence[Function]) -> Choice:
    """The tool choice in force.

    Raises:
        MessagesError: 400, a call is demanded of a tool that is not there.
    """
    if asked is None:
        return Choice("auto")
    names = {function["function"]["name"] for function in functions}
    if asked.type == "tool" and asked.name not in names:
        raise invalid(f"Tool '{asked.name}' not found in provided tools", "tool_choice")
    if asked.type == "any" and not names:
        raise invalid("a tool call is demanded but no tools are provided", "tool_choice")
    name = asked.name if asked.type == "tool" else None
    return Choice(asked.type, name, bool(asked.disable_parallel_tool_use))
