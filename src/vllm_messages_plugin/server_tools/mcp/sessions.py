"""Asks an MCP server for its tools and runs them, by the official client library.

A session belongs to one reply: servers that keep state, such as a browser, keep it from call to call. The
library binds a session to the task that opened it, so a task of its own holds the session and takes the calls
from a queue. It ends when the reply ends, when the connection breaks, or when nothing has asked it for long.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Implementation

from vllm_messages_plugin.media.guard import FetchRules, Resolve
from vllm_messages_plugin.server_tools.mcp.transport import GuardedTransport
from vllm_messages_plugin.wire.mcp import MCPToolParam

log = logging.getLogger("vllm.messages")

LIST_SECONDS: Final = 15.0
OPEN_SECONDS: Final = 15.0
CALL_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 300.0
CLOSE_SECONDS: Final = 5.0
MAX_TOOLS: Final = 1_000  # of one server
MAX_PAGES: Final = 20  # of one listing

CLIENT: Final = Implementation(name="vllm-messages-plugin", version="1")


class McpFailedError(Exception):
    """A server did not answer as it should; the text is for the client and says nothing of the network."""


class McpTimeoutError(McpFailedError):
    """A call took too long."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """Where a server is, and how this server introduces itself.

    Attributes:
        url: Its URL.
        token: Sent as a bearer token; empty for none.
        rules: What the guard lets pass.
        resolve: Resolves host names.
    """

    url: str
    token: str = field(repr=False)
    rules: FetchRules = field(repr=False)
    resolve: Resolve = field(repr=False)

    @property
    def log_name(self) -> str:
        """The server in a log line: without path and query, which may hold a secret."""
        parts = urlsplit(self.url)
        return (
            f"{parts.scheme}://{parts.hostname}:{parts.port}"
            if parts.port
            else f"{parts.scheme}://{parts.hostname}"
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Open a session; it must be closed by the task that opened it.

        Raises:
            McpFailedError: There is none, or it broke.
        """
        transport = GuardedTransport(self.rules, self.resolve)
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        timeout = httpx2.Timeout(CALL_SECONDS, connect=OPEN_SECONDS)
        try:
            async with (
                httpx2.AsyncClient(
                    transport=transport, headers=headers, timeout=timeout, trust_env=False
                ) as http,
                Client(
                    streamable_http_client(self.url, http_client=http),
                    read_timeout_seconds=CALL_SECONDS,
                    client_info=CLIENT,
                    cache=None,
                ) as client,
            ):
                # The library would check results against a schema of the server's, whose patterns may take
                # for ever. The model reads the result, not a program.
                client.session.validate_tool_result = _accept_result  # type: ignore[method-assign, assignment]
                yield client
        except McpFailedError:
            raise
        except Exception as error:  # the library raises groups of what its tasks ran into
            reason = transport.failure or "it does not answer as an MCP server"
            log.warning("The MCP server %s failed (%s): %s", self.log_name, type(error).__name__, reason)
            raise McpFailedError(reason) from error

    async def list_tools(self) -> tuple[MCPToolParam, ...]:
        """Ask the server for its tools.

        Raises:
            McpFailedError: It gives no listing in time.
        """
        found: list[MCPToolParam] = []
        try:
            async with asyncio.timeout(LIST_SECONDS), self.client() as client:
                cursor: str | None = None
                for _ in range(MAX_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    found += [
                        MCPToolParam(
                            name=tool.name, description=tool.description, input_schema=tool.input_schema
                        )
                        for tool in page.tools
                        if tool.name
                    ]
                    cursor = page.next_cursor
                    if not cursor or len(found) >= MAX_TOOLS:
                        break
        except TimeoutError as error:
            raise McpFailedError(f"no answer within {LIST_SECONDS:g} seconds") from error
        return tuple(found[:MAX_TOOLS])


async def _accept_result(_name: str, _result: CallToolResult) -> None:
    """Accept every result."""


@dataclass(slots=True)
class _Call:
    """A call that waits for its result."""

    tool: str
    arguments: Mapping[str, Any]
    result: "asyncio.Future[CallToolResult]"


_RUNNING: Final[set["asyncio.Task[None]"]] = set()
"""The tasks of sessions. The event loop itself keeps no strong reference to a task."""


async def sessions_ended() -> None:
    """Wait until every session that was closed has ended."""
    if _RUNNING:
        await asyncio.wait(set(_RUNNING))


class McpSession:
    """The session of one reply with one server; opened by its first call."""

    def __init__(self, server: McpServer, call_seconds: float = CALL_SECONDS) -> None:
        """Prepare a session.

        Args:
            server: The server.
            call_seconds: How long a call may take, the opening of the session included.
        """
        self._server = server
        self._call_seconds = call_seconds
        self._calls: asyncio.Queue[_Call | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Run a tool.

        Raises:
            McpFailedError: There is no result in time, or the server refused the call.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
            _RUNNING.add(self._task)
            self._task.add_done_callback(_RUNNING.discard)
        call = _Call(tool, arguments, asyncio.get_running_loop().create_future())
        self._calls.put_nowait(call)
        try:
            async with asyncio.timeout(self._call_seconds):
                return await call.result
        except TimeoutError as error:
            self._task.cancel()
            raise McpTimeoutError(f"no result within {self._call_seconds:g} seconds") from error

    def close(self) -> None:
        """End the session, in its own task."""
        if self._task is not None:
            self._calls.put_nowait(None)

    async def _serve(self) -> None:
        """Open the session and answer the calls until `close`."""
        clock = asyncio.get_running_loop().time
        failure: Exception = McpFailedError("the session has ended")
        current: _Call | None = None
        try:
            async with asyncio.timeout(OPEN_SECONDS) as limit, self._server.client() as client:
                limit.reschedule(clock() + IDLE_SECONDS)
                while (current := await self._calls.get()) is not None:
                    limit.reschedule(clock() + IDLE_SECONDS)
                    await _answer(client, current)
                limit.reschedule(clock() + CLOSE_SECONDS)
        except McpFailedError as error:
            failure = error
        except TimeoutError:
            failure = McpFailedError(f"no answer within {OPEN_SECONDS:g} seconds")
        finally:
            self._fail(current, failure)

    def _fail(self, current: _Call | None, failure: Exception) -> None:
        """Fail the calls that still wait."""
        waiting = [current] if current is not None else []
        while not self._calls.empty():
            waiting += [call for call in (self._calls.get_nowait(),) if call is not None]
        for call in waiting:
            if not call.result.done():
                call.result.set_exception(failure)
                call.result.exception()  # whoever waited may have left


async def _answer(client: Client, call: _Call) -> None:
    try:
        result = await client.call_tool(call.tool, dict(call.arguments))
    except MCPError as error:
        if not call.result.done():
            call.result.set_exception(McpFailedError(f"the server refused the call: {error.message}"))
            call.result.exception()
    else:
        if not call.result.done():
            call.result.set_result(result)
