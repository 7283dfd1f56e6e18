"""The toolsets of a request: which tools of which MCP server it offers, under which names. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from vllm_messages_plugin.wire.blocks import OtherBlockParam
from vllm_messages_plugin.wire.errors import from_validation, invalid
from vllm_messages_plugin.wire.mcp import (
    FIRST_BETA,
    MCP_TOOLSET,
    MCPServerURLDefinitionParam,
    MCPToolConfigParam,
    MCPToolParam,
    MCPToolsetParam,
)
from vllm_messages_plugin.wire.request import CountTokensRequest, RequestT, ToolParam

MAX_SERVERS: Final = 20
LISTING_BLOCK: Final = "mcp_tool_listing"

_BEARER_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Toolset:
    """The offer of one server's tools.

    Attributes:
        server: The server.
        server_place: Its place in `mcp_servers`.
        place: The place of the toolset in `tools`; None for a server that is offered without a toolset.
        default: What holds for a tool without a config of its own.
        configs: What holds for single tools instead, by their names.
        listing: The server's tools, if the request brings them along; None if the server is to be asked.
        cache_control: The cache breakpoint of the toolset.
    """

    server: MCPServerURLDefinitionParam
    server_place: int
    place: int | None
    default: MCPToolConfigParam = field(default_factory=MCPToolConfigParam)
    configs: Mapping[str, MCPToolConfigParam] = field(default_factory=dict)
    listing: tuple[MCPToolParam, ...] | None = None
    cache_control: Any = None

    def offers(self, tool: str) -> bool:
        """Whether a tool is offered."""
        config = self.configs.get(tool, self.default)
        enabled = self.default.enabled if config.enabled is None else config.enabled
        return enabled is not False

    def defers(self, tool: str) -> bool:
        """Whether a tool is kept out of the prompt until something refers to it."""
        config = self.configs.get(tool, self.default)
        deferred = self.default.defer_loading if config.defer_loading is None else config.defer_loading
        return bool(deferred)


def toolsets(request: CountTokensRequest, betas: Set[str] | None) -> list[Toolset]:
    """The toolsets of a request, in the order of `tools`, then those that are implied.

    Args:
        request: The request.
        betas: The values of its `anthropic-beta` headers; None if they are unknown.

    Raises:
        MessagesError: 400, servers and toolsets do not match, or a field makes no sense; names the field.
    """
    servers = _servers(request)
    found: dict[str, Toolset] = {}
    for place, tool in enumerate(request.tools or ()):
        if tool.type != MCP_TOOLSET:
            continue
        given = _parse(tool, place)
        path, name = f"tools.{place}.mcp_server_name", given.mcp_server_name
        if name not in servers:
            raise invalid(f"MCP server '{name}' not found in mcp_servers", path)
        if name in found:
            raise invalid(f"MCP server '{name}' has a toolset already", path)
        found[name] = _toolset(given, servers[name], place, tool, request)
    implied = betas is None or (FIRST_BETA in betas and not any(_is_newer(beta) for beta in betas))
    for name, (server_place, server) in servers.items():
        if name not in found:
            found[name] = _implied(server, server_place, request, implied)
    return list(found.values())


def _is_newer(beta: str) -> bool:
    return beta.startswith("mcp-client-") and beta > FIRST_BETA


def _servers(request: CountTokensRequest) -> dict[str, tuple[int, MCPServerURLDefinitionParam]]:
    given = request.mcp_servers or ()
    if len(given) > MAX_SERVERS:
        raise invalid(f"Input should have at most {MAX_SERVERS} servers", "mcp_servers")
    servers: dict[str, tuple[int, MCPServerURLDefinitionParam]] = {}
    for place, server in enumerate(given):
        if server.name in servers:
            raise invalid("MCP server names must be unique.", "mcp_servers")
        token = server.authorization_token
        if token and not _BEARER_TOKEN.fullmatch(token):
            raise invalid("Input should be a bearer token", f"mcp_servers.{place}.authorization_token")
        servers[server.name] = place, server
    return servers


def _parse(tool: ToolParam, place: int) -> MCPToolsetParam:
    try:
        return MCPToolsetParam.model_validate({"type": tool.type, **(tool.model_extra or {})})
    except ValidationError as error:
        raise invalid(f"tools.{place}.{from_validation(error).message}") from None


def _toolset(
    given: MCPToolsetParam,
    server: tuple[int, MCPServerURLDefinitionParam],
    place: int,
    tool: ToolParam,
    request: CountTokensRequest,
) -> Toolset:
    server_place, definition = server
    if definition.tool_configuration is not None:
        raise invalid(
            "can't be used together with an mcp_toolset", f"mcp_servers.{server_place}.tool_configuration"
        )
    pinned = tuple(given.tools) if given.tools is not None else _listing_in(request, definition.name)
    return Toolset(
        definition,
        server_place,
        place,
        given.default_config or MCPToolConfigParam(),
        given.configs or {},
        pinned,
        (tool.model_extra or {}).get("cache_control"),
    )


def _implied(
    server: MCPServerURLDefinitionParam, place: int, request: CountTokensRequest, implied: bool
) -> Toolset:
    """The toolset of a server without one, as the oldest beta has it."""
    given = server.tool_configuration
    if given is None and not implied:
        raise invalid(
            f"MCP server '{server.name}' is not referenced by an mcp_toolset in tools", f"mcp_servers.{place}"
        )
    enabled = given is None or given.enabled is not False
    listing = _listing_in(request, server.name) if enabled else ()
    if not enabled or given is None or given.allowed_tools is None:
        return Toolset(server, place, None, MCPToolConfigParam(enabled=enabled), listing=listing)
    allowed = {name: MCPToolConfigParam(enabled=True) for name in given.allowed_tools}
    return Toolset(server, place, None, MCPToolConfigParam(enabled=False), allowed, listing)


def _listing_in(request: CountTokensRequest, server: str) -> tuple[MCPToolParam, ...] | None:
    """The newest listing of a server that an earlier reply brought; None without one."""
    for message in reversed(request.messages):
        for block in reversed(message.content if isinstance(message.content, list) else ()):
            if isinstance(block, OtherBlockParam) and block.type == LISTING_BLOCK:
                fields = block.model_extra or {}
                if (
                    fields.get("mcp_server_name") == server
                    and (read := _read(fields.get("tools"))) is not None
                ):
                    return read
    return None


def _read(tools: Any) -> tuple[MCPToolParam, ...] | None:
    """The tools of a listing; None if it can't be read: a block in a history never makes a request fail."""
    try:
        return tuple(MCPToolParam.model_validate(tool) for tool in tools)
    except (ValidationError, TypeError):
        return None


def listing_block(toolset: Toolset, listing: Sequence[MCPToolParam]) -> dict[str, Any]:
    """The block that gives the client a listing (anthropic.types.beta.BetaMCPToolListingBlock)."""
    tools = [tool.model_dump(exclude_none=True) for tool in listing]
    return {"type": LISTING_BLOCK, "mcp_server_name": toolset.server.name, "tools": tools}


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of a server that a request offers.

    Attributes:
        toolset: Its toolset.
        name: Its name on the server.
        place: Its place in the new `tools`.
        prompt_name: Its name in the prompt.
    """

    toolset: Toolset
    name: str
    place: int
    prompt_name: str


def with_tools(
    request: RequestT, listings: Sequence[tuple[Toolset, Sequence[MCPToolParam]]]
) -> tuple[RequestT, list[OfferedTool]]:
    """The request with the tools of its toolsets in their place.

    The first tool of a toolset takes its place and the others follow the last entry, so that errors name
    the other entries by their places in the request.

    Args:
        request: The request.
        listings: Each toolset with the tools of its server.
    """
    entries: list[ToolParam | None] = [
        None if tool.type == MCP_TOOLSET else tool for tool in request.tools or ()
    ]
    taken = {tool.name for tool in entries if tool is not None and tool.name}
    offered: list[OfferedTool] = []
    for toolset, listing in listings:
        free = [toolset.place] if toolset.place is not None else []
        for tool in _unique(tool for tool in listing if toolset.offers(tool.name)):
            name = prompt_name(tool.name, toolset.server.name, taken)
            taken.add(name)
            place = free.pop() if free else len(entries)
            entries[place : place + 1] = [_entry(tool, name, toolset)]
            offered.append(OfferedTool(toolset, tool.name, place, name))
    kept = [place for place, entry in enumerate(entries) if entry is not None]
    places = {place: number for number, place in enumerate(kept)}
    tools = [entry for entry in entries if entry is not None]
    moved = [OfferedTool(each.toolset, each.name, places[each.place], each.prompt_name) for each in offered]
    return request.model_copy(update={"tools": tools or None, "mcp_servers": None}), moved


def _unique(tools: Iterator[MCPToolParam]) -> list[MCPToolParam]:
    """The tools of a listing, the last of each name."""
    return list({tool.name: tool for tool in tools}.values())


def prompt_name(name: str, server: str, taken: Set[str]) -> str:
    """A name for a tool in the prompt that no other tool has, of characters that all models can write."""
    plain = _NOT_IN_NAMES.sub("_", name)
    if plain in taken:
        plain = _NOT_IN_NAMES.sub("_", f"{server}_{name}")
    while plain in taken:
        plain += "_"
    return plain


def _entry(tool: MCPToolParam, name: str, toolset: Toolset) -> ToolParam:
    fields: dict[str, Any] = {
        "name": name,
        "input_schema": tool.input_schema,
        "defer_loading": toolset.defers(tool.name),
    }
    if tool.description is not None:
        fields["description"] = tool.description
    if toolset.cache_control is not None:
        fields["cache_control"] = toolset.cache_control
    return ToolParam.model_validate(fields)
