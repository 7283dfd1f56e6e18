"""MCP servers of a request and their toolsets, as in `anthropic.types.beta.BetaMCPToolsetParam`.

`mcp_servers` names the servers. An entry `mcp_toolset` of `tools` says which tools of one server are offered;
with the oldest beta a server carries a `tool_configuration` instead.
"""

from typing import Any, Literal

from pydantic import Field

from vllm_messages_plugin.wire.blocks import WireModel

MCP_TOOLSET = "mcp_toolset"

FIRST_BETA = "mcp-client-2025-04-04"
"""With this beta a server is offered without an `mcp_toolset`."""
LISTING_BETA = "mcp-client-2026-09-15"
"""With this beta a reply begins with the tool listings that it used."""

MAX_URL_CHARACTERS = 8_192


class MCPServerToolConfigurationParam(WireModel):
    """Which tools of a server are offered, in the oldest beta."""

    allowed_tools: list[str] | None = None
    enabled: bool | None = None


class MCPServerURLDefinitionParam(WireModel):
    """A server of `mcp_servers`. The token is no part of its `repr`."""

    type: Literal["url"]
    name: str = Field(min_length=1)
    url: str = Field(max_length=MAX_URL_CHARACTERS)
    authorization_token: str | None = Field(default=None, repr=False)
    tool_configuration: MCPServerToolConfigurationParam | None = None


class MCPToolConfigParam(WireModel):
    """Whether a tool is offered, and whether only after something refers to it; None leaves the default."""

    enabled: bool | None = None
    defer_loading: bool | None = None


class MCPToolParam(WireModel):
    """A tool in a listing of a server."""

    name: str = Field(min_length=1)
    input_schema: dict[str, Any]
    description: str | None = None


class MCPToolsetParam(WireModel):
    """An entry `mcp_toolset` of `tools`."""

    type: Literal["mcp_toolset"]
    mcp_server_name: str
    default_config: MCPToolConfigParam | None = None
    configs: dict[str, MCPToolConfigParam] | None = None
    tools: list[MCPToolParam] | None = None
