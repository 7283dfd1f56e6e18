"""Uvicorn in a task of a test's event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from support.loopback import HOST, free_port


@asynccontextmanager
async def served(app: Any, http: Any = "httptools") -> AsyncIterator[int]:
    """Serve an ASGI app until the block ends; yields the port."""
    port = free_port()
    config = uvicorn.Config(app, host=HOST, port=port, http=http, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = server.force_exit = True
        await running
