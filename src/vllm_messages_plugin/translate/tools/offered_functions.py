"""The function definitions that the entries of a request's `tools` stand for, in the request's order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vllm_messages_plugin.translate.chat_message import Function, FunctionDefinition
from vllm_messages_plugin.translate.tools.client_tools import (
    callable_directly,
    client_tool,
    input_examples,
    with_examples,
)
from vllm_messages_plugin.translate.tools.toolsets import ToolsetMember, is_toolset, toolset_functions
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import ToolParam


@dataclass(frozen=True, slots=True)
class OfferedFunction:
    """One function that an entry of `tools` stands for.

    `deferred`: the model is shown it only once something refers to it. `member` is set for a function of a
    toolset. `system` is what the API adds to the system prompt with this tool.
    """

    function: Function
    deferred: bool
    member: ToolsetMember | None = None
    system: str | None = None

    @property
    def name(self) -> str:
        """The function's name in the prompt."""
        return self.function["function"]["name"]


def offered_functions(tools: Sequence[ToolParam]) -> list[OfferedFunction]:
    """The functions of a request's tools. A toolset's functions avoid the names of the other tools.

    Raises:
        MessagesError: 400, a tool can't be offered by this server, or two share a name.
    """
    found: dict[str, OfferedFunction] = {}
    for offered in _in_order(tools):
        if offered.name in found:
            raise invalid("Tool names must be unique.", "tools")
        found[offered.name] = offered
    return list(found.values())


def _in_order(tools: Sequence[ToolParam]) -> Iterator[OfferedFunction]:
    single = {n: single_function(tool, n) for n, tool in enumerate(tools) if not is_toolset(tool)}
    taken = {offered.name for offered in single.values()}
    for position, tool in enumerate(tools):
        if position in single:
            yield single[position]
            continue
        for function, member in toolset_functions(tool, position, taken):
            yield OfferedFunction(function, member.deferred, member)


def single_function(tool: ToolParam, position: int) -> OfferedFunction:
    """The function of a tool that is no toolset.

    Args:
        tool: One of Anthropic's client tools, known by its type, or a tool with a schema.
        position: Its place in `tools`, for errors.

    Raises:
        MessagesError: 400, this server can't offer it.
    """
    known = client_tool(tool, position)
    function = known.function if known else _custom_function(tool, f"tools.{position}")
    function = with_examples(function, input_examples(tool, position))
    if not callable_directly(tool):
        raise invalid("programmatic tool calling is not supported", f"tools.{position}.allowed_callers")
    return OfferedFunction(function, bool(tool.defer_loading), system=known.system if known else None)


def deferred_functions(tools: Sequence[ToolParam]) -> list[Function]:
    """The functions of the deferred tools with a schema, which a tool search looks through.

    Raises:
        MessagesError: 400, this server can't offer one of them.
    """
    return [
        single_function(tool, place).function
        for place, tool in enumerate(tools)
        if tool.defer_loading and tool.input_schema is not None
    ]


def _custom_function(tool: ToolParam, path: str) -> Function:
    if not tool.is_custom and tool.input_schema is None:
        raise invalid(f"tool type '{tool.type}' is not supported by this server", path)
    if not tool.name:
        raise invalid("Field required", f"{path}.name")
    function: FunctionDefinition = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}
