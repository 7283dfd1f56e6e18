"""A tool that the server runs in one request."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult
from vllm_messages_plugin.wire.message import new_id
from vllm_messages_plugin.wire.request import RequestT


def _keep_open() -> None:
    """A tool that holds nothing open has nothing to close."""


@dataclass(frozen=True, slots=True)
class McpToolName:
    """The names that a tool of an MCP server has on the wire."""

    server: str
    tool: str


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of a request that the server runs.

    Attributes:
        name: Its name in the prompt; on the wire too, unless it is a tool of an MCP server.
        definition: What the model is shown: `name`, `description` and `input_schema`, as in `tools`. None
            where the request's entry of `tools` has them itself.
        run: Runs a call. A failure is a result as well; it never raises one.
        refused: The result of a call that is not run, by its error code.
        max_uses: How often it may run in one reply; None without a limit.
        mcp: Its names on the wire, if it is a tool of an MCP server.
        repeats: Whether the same call twice in a row runs twice, because its result may differ.
        close: Ends what its calls opened, when the reply ends. Does not wait.
    """

    name: str
    definition: Mapping[str, Any] | None
    run: Callable[[ServerCall], Awaitable[ServerToolResult]]
    refused: Callable[[str], ServerToolResult]
    max_uses: int | None = None
    mcp: McpToolName | None = None
    repeats: bool = False
    close: Callable[[], None] = _keep_open

    def new_call(self, arguments: Mapping[str, Any] | None) -> ServerCall:
        """A call of this tool with an id of its own."""
        return ServerCall(new_id("mcptoolu" if self.mcp else "srvtoolu"), self.name, arguments)

    def use_block(self, call: ServerCall) -> dict[str, Any]:
        """The block of a call, as it starts: its input follows as a delta."""
        if self.mcp is not None:
            names = {"name": self.mcp.tool, "server_name": self.mcp.server}
            return {"type": "mcp_tool_use", "id": call.id, **names, "input": {}}
        caller = {"type": "direct"}
        return {"type": "server_tool_use", "id": call.id, "name": self.name, "input": {}, "caller": caller}


@dataclass(frozen=True, slots=True)
class McpTools(Generic[RequestT]):
    """A request whose toolsets of MCP servers have been replaced by their tools.

    Attributes:
        request: The request; the tools are entries of its `tools` with a schema.
        tools: What runs them, by their place in its `tools`.
        listings: A block `mcp_tool_listing` for each server that was asked for its tools.
    """

    request: RequestT
    tools: Mapping[int, ServerTool] = field(default_factory=dict)
    listings: Sequence[Mapping[str, Any]] = ()
