"""A real uvicorn server disconnects clients that don't read their replies."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from support.loopback import serving_app
from vllm_messages_plugin.http.write_timeout import limit_write_time

SECONDS = 0.5
PIECE = bytes(8 * 1024 * 1024)  # more than the buffers of the kernel take
PIECES = 2
REQUEST = b"GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n"


class LongReply:
    """An app that replies with 16 MiB, and notes when it has ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % (PIECES * len(PIECE)))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body"})
        self.ended.set()


@asynccontextmanager
async def serving(app: LongReply, implementation: str) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=implementation, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    limit_write_time(server, SECONDS)
    limit_write_time(server, 100 * SECONDS)  # does nothing more
    async with serving_app(server) as port:
        yield port


async def connection(port: int) -> socket.socket:
    """A connection with a small buffer, on which the request has been sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    client.sendall(REQUEST)
    return client


with_both = pytest.mark.parametrize("implementation", ["h11", "httptools"])


@with_both
async def test_a_client_that_does_not_read_is_disconnected(implementation: str) -> None:
    app = LongReply()
    async with serving(app, implementation) as port:
        with await connection(port):
            await asyncio.wait_for(app.ended.wait(), 20)


@with_both
async def test_a_client_that_reads_slowly_gets_its_reply(implementation: str) -> None:
    """A piece takes it several times the time of the timer."""
    async with serving(LongReply(), implementation) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        received = 0
        while piece := await reader.read(256 * 1024):
            received += len(piece)
            await asyncio.sleep(0.05)
        writer.close()
    assert received > PIECES * len(PIECE)


def test_a_server_of_another_kind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    limit_write_time(None, 1)
    assert "can't be made to limit" in caplog.text
