"""A uvicorn server keeps idle connections for longer than its configuration says."""

import asyncio
import time
from typing import Any

import uvicorn

from support.loopback import serving_app
from vllm_messages_plugin.http.idle_connections import keep_idle_connections

HEAD = b"POST / HTTP/1.1\r\nhost: server\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_an_idle_connection_outlasts_those_of_clients() -> None:
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    keep_idle_connections(server, 3)
    async with serving_app(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for pause in (2.0, 0.0):
            writer.write(HEAD + b"content-length: 0\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"ok"), 10)).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(pause)
        begun = time.monotonic()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert time.monotonic() - begun > 2
        writer.close()


def test_a_longer_time_for_idle_connections_is_kept() -> None:
    config = uvicorn.Config(app, timeout_keep_alive=600)
    keep_idle_connections(uvicorn.Server(config))
    assert config.timeout_keep_alive == 600
    keep_idle_connections(None)
