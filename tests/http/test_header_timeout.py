"""A real uvicorn server disconnects clients that never complete the headers of a request."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop

from support.loopback import serving_app
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
async def serving(implementation: str, timeout_keep_alive: int = 5) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        port=0,
        http=implementation,
        log_level="error",
        lifespan="off",
        timeout_keep_alive=timeout_keep_alive,
    )
    server = uvicorn.Server(config)
    server.config.load()
    limit_header_time(server, SECONDS)
    async with serving_app(server) as port:
        yield port


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
@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"PUT"])
async def test_a_websocket_that_no_get_opens_is_refused(implementation: str, method: bytes) -> None:
    upgrade = (
        b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with serving(implementation) as port:
        reply = await closes_within(port, 5, method + b" / HTTP/1.1\r\nhost: server\r\n" + upgrade)
    assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")


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


class _Stall(asyncio.Protocol):
    """Sends a request when it receives data, and keeps the event loop from reading it for some seconds."""

    def __init__(self, connection: socket.socket, request: bytes, seconds: float) -> None:
        self._send = lambda: connection.sendall(request)
        self._seconds = seconds

    def data_received(self, data: bytes) -> None:
        self._send()
        time.sleep(self._seconds)


async def send_and_stand_still(connection: socket.socket, request: bytes, seconds: float) -> None:
    """Send a request to a server that stands still after it has polled its sockets, before its timers run."""
    ours, others = socket.socketpair()
    with others:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Stall(connection, request, seconds), sock=ours
        )
        others.sendall(b"x")
        await asyncio.sleep(0.01)
        transport.close()


async def reply_of(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    loop, reply = asyncio.get_running_loop(), b""
    while not reply.endswith(b"ok") and (more := await loop.sock_recv(connection, 10_000)):
        reply += more
    connection.setblocking(True)
    return reply


def in_vllms_loop(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in the event loop that vLLM uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


@with_both
def test_headers_that_arrived_while_the_server_stood_still_are_read(implementation: str) -> None:
    async def test() -> None:
        async with serving(implementation) as port:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                await asyncio.sleep(0.1)
                await send_and_stand_still(connection, HEAD + b"content-length: 0\r\n\r\n", 1.5 * SECONDS)
                assert (await reply_of(connection)).endswith(b"ok")

    in_vllms_loop(test())


def test_a_request_on_an_idle_connection_is_read_after_the_server_stood_still() -> None:
    async def test() -> None:
        async with serving("httptools", timeout_keep_alive=1) as port:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                for pause in (0, 1.2):
                    await send_and_stand_still(connection, HEAD + b"content-length: 0\r\n\r\n", pause)
                    assert (await reply_of(connection)).endswith(b"ok")

    in_vllms_loop(test())


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with serving("httptools", timeout_keep_alive=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"ok")
        writer.close()


def test_a_server_of_another_kind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    limit_header_time(None, SECONDS)
    assert "can't be made to limit" in caplog.text
