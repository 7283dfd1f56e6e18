"""Server tools as the translation knows them: as functions, calls and results like those of a client.

A request names a server tool by its type, and the history holds `server_tool_use` blocks beside their
results in one assistant message. Chat templates know neither. `with_functions` gives such a tool the
definition of a function; `with_separate_results` splits the assistant messages, so that each result
stands in a user message behind its call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vllm_messages_plugin.wire.blocks import (
    Block,
    OtherBlockParam,
    ToolChangeBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
    WebResultBlockParam,
)
from vllm_messages_plugin.wire.request import MessageParam, RequestT, ToolParam

MCP_TOOL_REFERENCE = "mcp_tool_reference"
MCP_TOOLSET_REFERENCE = "mcp_toolset_reference"

NO_RESULT = "The call was not run."
"""What the model reads for a call of a server tool that stands in the history without a result."""

ResultContent = str | Sequence[Mapping[str, Any] | WebResultBlockParam]
"""What the model reads of a result: text, or content blocks as a `tool_result` has them."""

ReadResult = Callable[[Any], ResultContent]
"""Reads the `content` of a server tool's result block for the model."""


def with_functions(request: RequestT, definitions: Mapping[int, Mapping[str, Any]]) -> RequestT:
    """The request with some of its tools as tools with a schema.

    Args:
        request: The request.
        definitions: `name`, `description` and `input_schema` of each server tool, by its place in `tools`.
    """
    if not definitions or request.tools is None:
        return request
    tools = [_as_function(tool, definitions.get(place)) for place, tool in enumerate(request.tools)]
    names = {request.tools[place].name: new["name"] for place, new in definitions.items()}
    choice = request.tool_choice
    if choice is not None and choice.name in names:
        choice = choice.model_copy(update={"name": names[choice.name]})
    return request.model_copy(update={"tools": tools, "tool_choice": choice})


def _as_function(tool: ToolParam, definition: Mapping[str, Any] | None) -> ToolParam:
    return tool if definition is None else ToolParam.model_validate({"type": "custom", **definition})


McpNames = Mapping[tuple[str, str], str]
"""The names in the prompt of the tools of MCP servers, by the names of server and tool on the wire."""


def with_mcp_names(request: RequestT, names: McpNames) -> RequestT:
    """The request with the tools of MCP servers in its history under the names of the prompt.

    This holds for calls, and for system messages that add or remove such tools. Listings are left out: their
    tools stand at the head of the prompt.

    Args:
        request: The request.
        names: The tools that it offers.
    """
    if not any(_is_of_mcp(block) for message in request.messages for block in _blocks(message)):
        return request
    messages = [_with_mcp_names(message, names) for message in request.messages]
    return request.model_copy(update={"messages": messages})


def _is_of_mcp(block: Block) -> bool:
    if isinstance(block, ToolChangeBlockParam):
        return block.tool.get("type") in (MCP_TOOL_REFERENCE, MCP_TOOLSET_REFERENCE)
    return isinstance(block, OtherBlockParam) and block.type in ("mcp_tool_use", "mcp_tool_listing")


def _with_mcp_names(message: MessageParam, names: McpNames) -> MessageParam:
    if not any(map(_is_of_mcp, _blocks(message))):
        return message
    blocks = [new for block in _blocks(message) for new in _named(block, names)]
    return message.model_copy(update={"content": blocks})


def _named(block: Block, names: McpNames) -> Iterator[Block]:
    """What stands for a block in the prompt."""
    if not _is_of_mcp(block):
        yield block
    elif isinstance(block, ToolChangeBlockParam):
        changed = [
            ToolChangeBlockParam(type=block.type, tool={"type": "tool_reference", "name": name})
            for (server, tool), name in names.items()
            if server == block.tool.get("server_name")
            and (block.tool.get("type") == MCP_TOOLSET_REFERENCE or tool == block.tool.get("name"))
        ]
        yield from changed or [block]
    elif block.type == "mcp_tool_use":
        fields = _extra(block)
        plain = str(fields.get("name") or "tool")
        name = names.get((str(fields.get("server_name")), plain), plain)
        yield OtherBlockParam.model_validate({**block.model_dump(), "name": name})


def with_separate_results(request: RequestT, readers: Mapping[str, ReadResult]) -> RequestT:
    """The request with each result of a server tool in a user message behind its call.

    Args:
        request: The request.
        readers: Reads the results that can be restored, by the type of their block; blocks of other
            types stay as they are.
    """
    if not any(_has_server_call(message) for message in request.messages):
        return request
    messages = [part for message in request.messages for part in _separated(message, readers)]
    return request.model_copy(update={"messages": messages})


def _has_server_call(message: MessageParam) -> bool:
    return message.role == "assistant" and any(_is_call(block) for block in _blocks(message))


def _blocks(message: MessageParam) -> Sequence[Block]:
    return message.content if isinstance(message.content, list) else ()


def _is_call(block: Block) -> bool:
    return isinstance(block, OtherBlockParam) and block.type in ("server_tool_use", "mcp_tool_use")


def _separated(message: MessageParam, readers: Mapping[str, ReadResult]) -> Iterator[MessageParam]:
    """Split an assistant message behind each run of results.

    A result without its call before it in the message stays where it is.
    """
    if not _has_server_call(message):
        yield message
        return
    answered = _answered(_blocks(message), readers)
    called: set[str] = set()
    reply: list[Block] = []
    results: list[Block] = []
    for block in _blocks(message):
        if _is_result(block, readers) and _result_id(block) in called:
            results.append(_result(block, readers))
            continue
        if results:
            yield from _turns(message, reply, results)
            reply, results = [], []
        use = _use(block) if _is_call(block) and _result_type(block) in readers else None
        reply.append(use or block)
        if use is not None:
            called.add(use.id)
        if use is not None and use.id not in answered:
            results.append(ToolResultBlockParam(type="tool_result", tool_use_id=use.id, content=NO_RESULT))
    yield from _turns(message, reply, results)


def _answered(blocks: Sequence[Block], readers: Mapping[str, ReadResult]) -> set[str]:
    """The ids of the calls whose result stands behind them."""
    called: set[str] = set()
    answered: set[str] = set()
    for block in blocks:
        if _is_call(block):
            called.add(str(_extra(block).get("id") or ""))
        elif _is_result(block, readers) and _result_id(block) in called:
            answered.add(_result_id(block))
    return answered


def _turns(message: MessageParam, reply: list[Block], results: list[Block]) -> Iterator[MessageParam]:
    if reply:
        yield message.model_copy(update={"content": reply})
    if results:
        yield MessageParam(role="user", content=results)


def _extra(block: Block) -> Mapping[str, Any]:
    return block.model_extra or {}


def _use(block: Block) -> ToolUseBlockParam:
    """The call of a server tool as the call of a client's tool."""
    extra = _extra(block)
    arguments = extra.get("input")
    return ToolUseBlockParam(
        type="tool_use",
        id=str(extra.get("id") or ""),
        name=str(extra.get("name") or "tool"),
        input=arguments if isinstance(arguments, dict) else {},
    )


def _result_type(block: Block) -> str:
    """The type of the result block that belongs to a call."""
    if block.type == "mcp_tool_use":
        return "mcp_tool_result"
    name = str(_extra(block).get("name") or "")
    return "tool_search_tool_result" if name.startswith("tool_search_tool_") else f"{name}_tool_result"


def _is_result(block: Block, readers: Mapping[str, ReadResult]) -> bool:
    return isinstance(block, OtherBlockParam) and block.type in readers


def _result_id(block: Block) -> str:
    return str(_extra(block).get("tool_use_id") or "")


def _result(block: Block, readers: Mapping[str, ReadResult]) -> ToolResultBlockParam:
    read = readers[block.type](_extra(block).get("content"))
    content = read if isinstance(read, str) else list(read)
    failed = _extra(block).get("is_error") is True or None
    return ToolResultBlockParam.model_validate(
        {"type": "tool_result", "tool_use_id": _result_id(block), "content": content, "is_error": failed}
    )
