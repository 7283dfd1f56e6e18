"""The tool listings of MCP servers, asked once per server and token and kept for a minute."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vllm_messages_plugin.server_tools.mcp.sessions import McpServer
from vllm_messages_plugin.wire.mcp import MCPToolParam

KEPT_SECONDS: Final = 60.0
MAX_LISTINGS: Final = 64

Listing = tuple[MCPToolParam, ...]


@dataclass(slots=True)
class Listings:
    """The listings of this process.

    Requests that need the same listing at the same time wait for one answer. A failure is not kept.
    """

    clock: Callable[[], float] = time.monotonic
    _tasks: "OrderedDict[bytes, tuple[float, asyncio.Task[Listing]]]" = field(default_factory=OrderedDict)

    async def tools_of(self, server: McpServer) -> Listing:
        """The tools of a server.

        Raises:
            McpFailedError: It gives no listing.
        """
        key = hashlib.sha256(f"{server.url}\0{server.token}".encode("utf-8", "surrogatepass")).digest()
        since, task = self._tasks.get(key, (0.0, None))
        if task is None or self.clock() - since >= KEPT_SECONDS or _failed(task):
            since, task = self.clock(), asyncio.create_task(server.list_tools())
            task.add_done_callback(_failed)
            self._tasks[key] = since, task
        self._tasks.move_to_end(key)
        while len(self._tasks) > MAX_LISTINGS:
            self._tasks.popitem(last=False)
        return await asyncio.shield(task)


def _failed(task: "asyncio.Task[Listing]") -> bool:
    """Whether a listing ended without a result."""
    return task.done() and (task.cancelled() or task.exception() is not None)
