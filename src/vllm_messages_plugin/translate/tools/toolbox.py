"""Tools and tool choice: which tools the model is shown, which it may call, and whether it must.

Called by `conversation`. Tools leave here as function definitions, the form chat templates read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from vllm_messages_plugin.translate.tools.client_tools import (
    callable_directly,
    client_tool,
    described,
    input_examples,
)
from vllm_messages_plugin.translate.tools.toolsets import Member, is_toolset, prompt_name, toolset_functions
from vllm_messages_plugin.wire.blocks import (
    Block,
    OtherBlockParam,
    ToolChangeBlockParam,
    ToolReferenceBlockParam,
    ToolResultBlockParam,
)
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import CountTokensRequest, MessageParam, ToolChoiceParam, ToolParam

Function = dict[str, Any]
"""`{"type": "function", "function": {"name", "description", "parameters"}}`"""


@dataclass(frozen=True, slots=True)
class ToolChoice:
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
    `members` are those that a toolset brought, by the names they have in the prompt. `system` is what
    the tools add to the system prompt.
    """

    shown: tuple[Function, ...]
    hidden: Mapping[str, Function]
    members: Mapping[str, Member]
    system: tuple[str, ...] = ()

    def prompt_name(self, name: str, toolset: str | None) -> str:
        """The name a tool of a history has in the prompt."""
        if toolset is None:
            return name
        known = ((prompt, member) for prompt, member in self.members.items())
        found = (prompt for prompt, member in known if (member.name, member.toolset) == (name, toolset))
        return next(found, None) or prompt_name(name, toolset)

    def definition(self, name: str) -> str:
        """A hidden tool as text, to stand where it is referred to."""
        tool = self.hidden.get(name)
        return f"The tool {name} is available now." if tool is None else definition_text(tool["function"])

    def addition(self, block: ToolChangeBlockParam) -> str:
        """A `tool_addition` as text: its own definition, or that of the tool it refers to."""
        definition = block.tool.get("definition")
        if not isinstance(definition, Mapping):
            return self.definition(changed_tool(block))
        function = defined(definition)
        return definition_text(function["function"] if function else definition)


def definition_text(definition: Mapping[str, Any]) -> str:
    """A tool's definition as text, in the form Claude Code's own tool search uses."""
    text = json.dumps(definition, ensure_ascii=False)
    return f"<functions>\n<function>{text}</function>\n</functions>"


def defined(definition: Mapping[str, Any]) -> Function | None:
    """The tool that a `tool_addition` brings along; None for one we can't offer, which is only told of."""
    try:
        return _entry(ToolParam.model_validate(definition), 0).function
    except (ValidationError, MessagesError):
        return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One function that an entry of `tools` makes."""

    function: Function
    deferred: bool
    member: Member | None = None
    system: str | None = None

    @property
    def name(self) -> str:
        return str(self.function["function"]["name"])


def _entry(tool: ToolParam, position: int) -> _Entry:
    """A tool that is no toolset: one of Anthropic's own by its family, or one with a schema."""
    made = client_tool(tool, position)
    function = made.function if made else _function(tool, f"tools.{position}")
    function = described(function, input_examples(tool, position))
    if not callable_directly(tool):
        raise invalid("programmatic tool calling is not supported", f"tools.{position}.allowed_callers")
    return _Entry(function, bool(tool.defer_loading), system=made.system if made else None)


def _function(tool: ToolParam, path: str) -> Function:
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
        MessagesError: 400, a tool is of a type that this server can't offer, or two share a name.
    """
    entries = _entries(request.tools or [])
    if len({entry.name for entry in entries}) < len(entries):
        raise invalid("Tool names must be unique.", "tools")
    shown = [entry for entry in entries if not entry.deferred] or entries
    return Toolbox(
        shown=tuple(entry.function for entry in shown),
        hidden={entry.name: entry.function for entry in entries if entry not in shown},
        members={entry.name: entry.member for entry in entries if entry.member},
        system=tuple(entry.system for entry in shown if entry.system),
    )


def _entries(tools: Sequence[ToolParam]) -> list[_Entry]:
    """What each tool makes, in the request's order; toolsets give way to the names of the others."""
    single = {n: _entry(tool, n) for n, tool in enumerate(tools) if not is_toolset(tool)}
    taken = [entry.name for entry in single.values()]
    found: list[_Entry] = []
    for position, tool in enumerate(tools):
        if position in single:
            found.append(single[position])
            continue
        for function, member in toolset_functions(tool, position, taken) or ():
            found.append(_Entry(function, member.deferred, member))
    return found


def _blocks(messages: Sequence[MessageParam]) -> Iterator[Block]:
    for message in messages:
        if isinstance(message.content, list):
            yield from message.content


def changed_tool(block: ToolChangeBlockParam) -> str:
    """The name a `tool_addition` or `tool_removal` speaks of."""
    definition = block.tool.get("definition")
    if isinstance(definition, Mapping):
        return str(definition.get("name") or "")
    return str(block.tool.get("name") or block.tool.get("tool_name") or block.tool.get("server_name") or "")


def callable_tools(box: Toolbox, messages: Sequence[MessageParam]) -> tuple[Function, ...]:
    """What may be called at the conversation's end: tools shown or referred to, less those removed."""
    shown = {str(function["function"]["name"]): function for function in box.shown}
    known, offered = {**box.hidden, **shown}, dict(shown)
    for block in _blocks(messages):
        if isinstance(block, ToolChangeBlockParam) and block.type == "tool_removal":
            offered.pop(changed_tool(block), None)
            continue
        known.update(_brought(block))
        offered.update({name: known[name] for name in _referred(block) if name in known})
    return tuple(offered.values())


def _brought(block: Block) -> dict[str, Function]:
    definition = block.tool.get("definition") if isinstance(block, ToolChangeBlockParam) else None
    function = defined(definition) if isinstance(definition, Mapping) else None
    return {str(function["function"]["name"]): function} if function else {}


def _referred(block: Block) -> list[str]:
    if isinstance(block, ToolChangeBlockParam):
        return [changed_tool(block)]
    if isinstance(block, ToolResultBlockParam) and isinstance(block.content, list):
        return [
            inner.referenced_name for inner in block.content if isinstance(inner, ToolReferenceBlockParam)
        ]
    return found_tools(block)


def found_tools(block: Block) -> list[str]:
    """The names that a server's tool search of an earlier turn found."""
    if not isinstance(block, OtherBlockParam) or block.type != "tool_search_tool_result":
        return []
    content = (block.model_extra or {}).get("content")
    found = content.get("tool_references") if isinstance(content, Mapping) else None
    found = found if isinstance(found, list) else []
    names = (each.get("tool_name") for each in found if isinstance(each, Mapping))
    return [name for name in names if isinstance(name, str)]


def choice(
    asked: ToolChoiceParam | None, functions: Sequence[Function], members: Mapping[str, Member]
) -> ToolChoice:
    """The tool choice in force; a member of a toolset may be named as the wire or the prompt names it.

    Raises:
        MessagesError: 400, a call is demanded of a tool that is not there.
    """
    if asked is None:
        return ToolChoice("auto")
    names = {function["function"]["name"] for function in functions}
    single = bool(asked.disable_parallel_tool_use)
    if asked.type == "any" and not names:
        raise invalid("a tool call is demanded but no tools are provided", "tool_choice")
    if asked.type != "tool":
        return ToolChoice(asked.type, None, single)
    of_members = (prompt for prompt, member in members.items() if member.name == asked.name)
    name = asked.name if asked.name in names else next(of_members, None)
    if name is None:
        raise invalid(f"Tool '{asked.name}' not found in provided tools", "tool_choice")
    return ToolChoice("tool", name, single)
