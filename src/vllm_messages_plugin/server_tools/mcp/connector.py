"""Connects the MCP servers of requests: replaces their toolsets by tools that run here."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field

from vllm_messages_plugin.media.guard import FetchRules, Resolve, system_addresses
from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult
from vllm_messages_plugin.rounds.server_tool import McpToolName, McpTools, ServerTool
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers, place_of
from vllm_messages_plugin.server_tools.mcp.listings import Listings
from vllm_messages_plugin.server_tools.mcp.results import MAX_RESULT_TOKENS, failed, tool_result
from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError, McpServer, McpSession
from vllm_messages_plugin.server_tools.mcp.toolsets import (
    OfferedTool,
    Toolset,
    listing_block,
    toolsets,
    with_tools,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.mcp import LISTING_BETA, MCPServerURLDefinitionParam, MCPToolParam
from vllm_messages_plugin.wire.request import RequestT

MAX_RESPONSE_BYTES = 1024 * 1024
MAX_SESSION_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class McpConnector:
    """Connects MCP servers under the operator's rules.

    Attributes:
        allowed: Which servers may be asked.
        max_result_tokens: About how many tokens of a result the model is shown.
        resolve: Resolves host names.
        listings: The tool listings of this process.
    """

    allowed: AllowedServers
    max_result_tokens: int = MAX_RESULT_TOKENS
    resolve: Resolve = system_addresses
    listings: Listings = field(default_factory=Listings)

    async def connect(self, request: RequestT, betas: Set[str]) -> McpTools[RequestT]:
        """Replace the toolsets of a request by the tools of its servers.

        Args:
            request: The request.
            betas: The values of its `anthropic-beta` headers.

        Raises:
            MessagesError: 400, a server may not be asked or gives no listing, or a field makes no sense.
        """
        found = toolsets(request, betas)
        for toolset in found:
            if (refusal := self.allowed.refusal(toolset.server.url)) is not None:
                raise invalid(refusal, f"mcp_servers.{toolset.server_place}.url")
        servers = [self.server(toolset.server) for toolset in found]
        listings = await _all([self._listing(*each) for each in zip(found, servers, strict=True)])
        request, offered = await asyncio.to_thread(
            with_tools, request, list(zip(found, listings, strict=True))
        )
        sessions = {id(toolset): McpSession(server) for toolset, server in zip(found, servers, strict=True)}
        tools = {tool.place: self._tool(tool, sessions[id(tool.toolset)]) for tool in offered}
        asked = [each for each in zip(found, listings, strict=True) if each[0].listing is None]
        blocks = [listing_block(*each) for each in asked] if LISTING_BETA in betas else []
        return McpTools(request, tools, blocks)

    def server(self, definition: MCPServerURLDefinitionParam) -> McpServer:
        """The server of a definition, with the rules for its URL."""
        return McpServer(
            definition.url,
            definition.authorization_token or "",
            rules_for(definition.url, self.allowed),
            self.resolve,
        )

    async def _listing(self, toolset: Toolset, server: McpServer) -> Sequence[MCPToolParam]:
        if toolset.listing is not None:
            return toolset.listing
        try:
            return await self.listings.tools_of(server)
        except McpFailedError as error:
            message = f"the tools of MCP server '{toolset.server.name}' can't be listed: {error}"
            raise invalid(message, f"mcp_servers.{toolset.server_place}") from error

    def _tool(self, tool: OfferedTool, session: McpSession) -> ServerTool:
        return ServerTool(
            tool.prompt_name,
            None,
            _runner(session, tool.name, self.max_result_tokens),
            failed,
            mcp=McpToolName(tool.toolset.server.name, tool.name),
            repeats=True,
            close=session.close,
        )


async def _all(listings: Sequence[Awaitable[Sequence[MCPToolParam]]]) -> list[Sequence[MCPToolParam]]:
    """The listings of all servers, asked at the same time; the first server that fails decides the error."""
    found = await asyncio.gather(*listings, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]


def _runner(
    session: McpSession, tool: str, max_tokens: int
) -> Callable[[ServerCall], Awaitable[ServerToolResult]]:
    async def run(call: ServerCall) -> ServerToolResult:
        try:
            result = await session.call(tool, call.input or {})
        except McpFailedError as error:
            return failed(f"The tool failed: {error}.")
        return tool_result(result, max_tokens)

    return run


def rules_for(url: str, allowed: AllowedServers) -> FetchRules:
    """The guard's rules for the requests to a server: its own redirects must be permitted too."""
    place = place_of(url)
    private = (
        frozenset({(place.host, place.port)}) if place is not None and allowed.lists(url) else frozenset()
    )
    return FetchRules(
        max_bytes=MAX_RESPONSE_BYTES,
        max_total_bytes=MAX_SESSION_BYTES,
        permits=lambda target: allowed.refusal(target) is None,
        private_origins=private,
    )
