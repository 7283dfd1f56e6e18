"""A tool of an MCP server that the operator names in a setting, for a purpose of this server's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp_types import CallToolResult

from vllm_messages_plugin.media.guard import system_addresses
from vllm_messages_plugin.server_tools.mcp.addresses import AllowedServers, tool_address
from vllm_messages_plugin.server_tools.mcp.connector import rules_for
from vllm_messages_plugin.server_tools.mcp.listings import Listings
from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError, McpServer, McpSession
from vllm_messages_plugin.wire.mcp import MCPToolParam


@dataclass(frozen=True, slots=True)
class OperatorTool:
    """A tool that a setting names.

    Attributes:
        server: Its server, which may have a private address.
        name: Its name.
        listings: The server's listing.
    """

    server: McpServer
    name: str
    listings: Listings = field(default_factory=Listings)

    async def definition(self) -> MCPToolParam:
        """What the server says of the tool.

        Raises:
            McpFailedError: It gives no listing, or has no such tool.
        """
        for tool in await self.listings.tools_of(self.server):
            if tool.name == self.name:
                return tool
        raise McpFailedError(f"it has no tool {self.name!r}")

    async def call(self, arguments: Mapping[str, Any], seconds: float) -> CallToolResult:
        """Run the tool in a session of its own.

        Args:
            arguments: Its arguments.
            seconds: How long it may take.

        Raises:
            McpFailedError: There is no result.
        """
        session = McpSession(self.server, seconds)
        try:
            return await session.call(self.name, arguments)
        finally:
            session.close()


def operator_tool(setting: str, variable: str, token: str) -> OperatorTool:
    """The tool of a setting `mcp:URL#TOOL`.

    Args:
        setting: The value of the setting.
        variable: Its name, for errors.
        token: Is sent as a bearer token; empty for none.

    Raises:
        ValueError: The setting names no tool.
    """
    address = tool_address(setting, variable)
    rules = rules_for(address.url, AllowedServers("listed", (address.url,)))
    return OperatorTool(McpServer(address.url, token, rules, system_addresses), address.tool)


def text_argument(tool: MCPToolParam, names: Sequence[str]) -> str | None:
    """The argument of a tool that takes a text: the first of these names, else its only required one.

    Returns:
        The name of the argument; None if no argument will do.
    """
    properties = tool.input_schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    for name in names:
        if _takes_text(properties.get(name)):
            return name
    required = tool.input_schema.get("required")
    required = required if isinstance(required, list) else []
    if len(required) == 1 and _takes_text(properties.get(required[0])):
        return str(required[0])
    return None


def _takes_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type", "string") in ("string", ["string", "null"])
