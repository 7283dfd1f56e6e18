"""Requests that arrive at once are taken in several turns of the event loop, in order, and none is lost."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import uvicorn

from support.loopback import serving_app
from vllm_messages_plugin.http.arrivals import COST_PER_TURN, REQUEST_COST, ArrivalQueue, spread_arrivals
from vllm_messages_plugin.http.header_timeout import limit_header_time
from vllm_messages_plugin.http.wait_timer import LOOK_SECONDS

REQUEST = b"POST / HTTP/1.1\r\nhost: server\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
KEPT_REQUEST = b"POST / HTTP/1.1\r\nhost: server\r\ncontent-length: 0\r\n\r\n"
ARRIVALS_PER_TURN = -(-COST_PER_TURN // REQUEST_COST)
CONNECTIONS = 3 * ARRIVALS_PER_TURN + 1


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.number = 0
        self._next()

    def _next(self) -> None:
        self.number += 1
        asyncio.get_running_loop().call_soon(self._next)


@pytest.mark.parametrize(("cost", "in_one_turn"), [(1, 6), (2, 3), (4, 2), (7, 1)])
async def test_no_more_is_called_in_one_turn_than_the_costs_allow(cost: int, in_one_turn: int) -> None:
    turns, called = Turns(), list[tuple[int, bytes]]()

    def call(data: bytes) -> int:
        called.append((turns.number, data))
        return cost

    queue = ArrivalQueue(cost_per_turn=6)
    for number in range(20):
        queue.call(call, b"%d" % number)
    while len(called) < 20:  # noqa: ASYNC110 - turns of the loop are what is counted
        await asyncio.sleep(0)
    assert max(Counter(turn for turn, _ in called).values()) == in_one_turn
    assert [data for _, data in called] == [b"%d" % number for number in range(20)]


def recorder(called: list[bytes]) -> Callable[[bytes], int]:
    """A function for the queue that keeps its data and costs 1."""

    def call(data: bytes) -> int:
        called.append(data)
        return 1

    return call


async def test_a_call_that_comes_later_does_not_overtake_one_that_waits() -> None:
    called: list[bytes] = []
    queue = ArrivalQueue(cost_per_turn=1)
    assert queue.call(recorder(called), b"first")
    assert not queue.call(recorder(called), b"second")
    await asyncio.sleep(0)
    assert not queue.call(recorder(called), b"third")
    while len(called) < 3:  # noqa: ASYNC110 - turns of the loop are what is counted
        await asyncio.sleep(0)
    assert called == [b"first", b"second", b"third"]


async def test_after_a_turn_without_calls_the_next_one_is_called_at_once() -> None:
    called: list[bytes] = []
    queue = ArrivalQueue(cost_per_turn=1)
    for _ in range(3):
        assert queue.call(recorder(called), b"")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(called) == 3


class CountingApp:
    """Replies with the length of the body, and counts the requests that begin in each turn."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: Counter[int] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun[self.turns.number] += 1
        length, more = 0, True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"length %d" % length
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(app: Any, implementation: str) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=implementation, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    spread_arrivals(server)
    spread_arrivals(server)  # does nothing more
    async with serving_app(server) as port:
        yield port


async def reply_of(connection: socket.socket) -> bytes:
    loop, reply = asyncio.get_running_loop(), b""
    while piece := await loop.sock_recv(connection, 65536):
        reply += piece
    return reply


with_both = pytest.mark.parametrize("implementation", ["h11", "httptools"])


@with_both
async def test_requests_that_arrive_at_once_begin_in_several_turns(implementation: str) -> None:
    app = CountingApp()
    async with serving(app, implementation) as port:
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0.2)  # until all are accepted
        for connection in connections:
            connection.sendall(REQUEST % 2 + b"ab")
            connection.setblocking(False)
        replies = await asyncio.wait_for(asyncio.gather(*map(reply_of, connections)), 60)
        for connection in connections:
            connection.close()
    assert all(reply.endswith(b"length 2") for reply in replies)
    assert sum(app.begun.values()) == CONNECTIONS
    assert max(app.begun.values()) <= ARRIVALS_PER_TURN


@with_both
async def test_bodies_that_wait_are_read_whole(implementation: str) -> None:
    """Each body is larger than what the server reads of a connection at a time."""
    size = 300_000
    async with serving(CountingApp(), implementation) as port:
        tasks = [asyncio.create_task(_upload(port, size)) for _ in range(CONNECTIONS)]
        replies = await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert all(reply.endswith(b"length %d" % size) for reply in replies)


async def _upload(port: int, size: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(REQUEST % size + bytes(size))
        return await reader.read()


async def test_clients_that_leave_while_their_requests_wait_do_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = CountingApp()
    async with serving(app, "httptools") as port:
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0.2)
        for connection in connections:
            connection.sendall(REQUEST % 2 + b"ab")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # resets at close
            connection.close()
        assert (await asyncio.wait_for(_upload(port, 2), 60)).endswith(b"length 2")
    assert not caplog.records


@with_both
async def test_an_idle_connection_is_not_closed_while_its_next_request_waits(implementation: str) -> None:
    """Its time is over, the server reads it once more, and what it reads must wait for its turn."""
    protocols: list[Any] = []
    config = uvicorn.Config(CountingApp(), port=0, http=implementation, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    limit_header_time(server, 30)
    spread_arrivals(server)

    class Listed(server.config.http_protocol_class):  # type: ignore[misc, name-defined]
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            protocols.append(self)

    server.config.http_protocol_class = Listed

    def take_a_turn(_: bytes) -> int:
        time.sleep(0.001)
        return COST_PER_TURN

    async with serving_app(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(KEPT_REQUEST)
            assert await asyncio.wait_for(reader.readuntil(b"length 0"), 10)
            (protocol,) = protocols
            protocol.timeout_keep_alive_handler()
            for _ in range(round(2 * LOOK_SECONDS / 0.001)):
                protocol.arrivals.call(take_a_turn, b"")
        writer.close()


def test_a_server_of_another_kind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    spread_arrivals(None)
    assert "can't be made to spread" in caplog.text
