"""A real uvicorn server disconnects clients that never complete the headers of a request."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from vllm_messages_plugin.http.header_timeout import limit_header_time

SECONDS = 0.4
HEAD = b"POST / HTTP/1.1\r\nhost: server\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        while (await receive()).get("more_body", False):
            pass
        await asyncio.sleep(1.5 * SECONDS)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(implementation: str) -> AsyncIterator[int]:
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=implementation, log_level="error", lifespan="off")
    )
    server.config.load()
    limit_header_time(server, SECONDS)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


with_both = pytest.mark.parametrize("implementation", ["h11", "httptools"])


async def closes_within(port: int, seconds: float, *pieces: bytes) -> bytes:
    """Send pieces of a request, a tenth of a second apart, and return what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.1)
        return await asyncio.wait_for(reader.read(), seconds)
    except ConnectionResetError:  # closed while a piece was on its way
        return b""
    finally:
        writer.close()


@with_both
async def test_a_connection_without_a_request_is_closed(implementation: str) -> None:
    async with serving(implementation) as port:
        assert await closes_within(port, 5) == b""


@with_both
async def test_headers_that_trickle_in_do_not_extend_the_time(implementation: str) -> None:
    async with serving(implementation) as port:
        begin = time.monotonic()
        assert await closes_within(port, 5, HEAD, b"a: b\r\n", b"c: d\r\n") == b""
        assert time.monotonic() - begin < 4


@with_both
async def test_a_request_may_take_longer_than_its_headers(implementation: str) -> None:
    pieces = [HEAD + b"content-length: 8\r\nconnection: close\r\n\r\n", *[b"x"] * 8]
    async with serving(implementation) as port:
        assert (await closes_within(port, 10, *pieces)).endswith(b"ok")


@with_both
async def test_a_second_request_on_a_connection_has_the_same_time(implementation: str) -> None:
    async with serving(implementation) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        writer.write(HEAD)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@with_both
async def test_many_connections_without_end_are_all_closed(implementation: str) -> None:
    async with serving(implementation) as port:
        replies = await asyncio.gather(*(closes_within(port, 10, HEAD) for _ in range(100)))
    assert replies == [b""] * 100


def test_a_server_of_another_kind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    limit_header_time(None, SECONDS)
    assert "can't be made to limit" in caplog.text
