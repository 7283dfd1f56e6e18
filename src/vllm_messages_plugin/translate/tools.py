"""Tools and tool choice: which tools the model is shown, which it may call, and whether it must.

Called by `conversation`. Tools leave here as function definitions, the form chat templates read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vllm_messages_plugin.wire.blocks import Block, ToolChangeBlock, ToolReferenceBlock, ToolResultBlock
from vllm_messages_plugin.wire.errors import invalid
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
    """`shown` stand at the head of the prompt; `hidden` are deferred until something refers to them."""

    shown: tuple[Function, ...]
    hidden: Mapping[str, Function]

    def definition(self, name: str) -> str:
        """A deferred tool as text, to stand where it is referred to."""
        tool = self.hidden.get(name)
        if tool is None:
            return f"The tool {name} is available now."
        described = json.dumps(tool["function"], ensure_ascii=False)
        return f"<functions>\n<function>{described}</function>\n</functions>"


def _function(tool: Tool, position: int) -> Function:
    if not tool.is_custom and tool.input_schema is None:
        raise invalid(f"tool type '{tool.type}' is not supported by this server", f"tools.{position}")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def toolbox(tools: Sequence[Tool]) -> Toolbox:
    """The tools of a request, shown and deferred; if all are deferred, all are shown."""
    functions = [_function(tool, position) for position, tool in enumerate(tools)]
    shown = [f for f, tool in zip(functions, tools, strict=True) if not tool.defer_loading]
    if not shown:
        return Toolbox(tuple(functions), {})
    hidden = {
        str(tool.name): function
        for function, tool in zip(functions, tools, strict=True)
        if tool.defer_loading
    }
    return Toolbox(tuple(shown), hidden)


def referred_tools(messages: Sequence[Message]) -> list[str]:
    """Names that tool references and additions in the conversation make callable, in their order."""
    names: dict[str, None] = {}
    for message in messages:
        for block in message.content if isinstance(message.content, list) else ():
            names.update(dict.fromkeys(_names(block)))
    return list(names)


def _names(block: Block) -> list[str]:
    if isinstance(block, ToolChangeBlock) and block.type == "tool_addition":
        return [changed_tool(block)]
    if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        return [inner.referred for inner in block.content if isinstance(inner, ToolReferenceBlock)]
    return []


def changed_tool(block: ToolChangeBlock) -> str:
    """The name a `tool_addition` or `tool_removal` speaks of."""
    return str(block.tool.get("name") or block.tool.get("tool_name") or block.tool.get("server_name") or "")


def callable_tools(box: Toolbox, messages: Sequence[Message]) -> tuple[Function, ...]:
    """What may be called: the tools shown and those deferred that the conversation refers to."""
    return box.shown + tuple(box.hidden[name] for name in referred_tools(messages) if name in box.hidden)


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


def tools_of(request: CountTokensRequest) -> Toolbox:
    """The toolbox of a request."""
    return toolbox(request.tools or [])
