"""Request bodies: their encoding, their limits on size and time, and clients that leave while they send."""

import asyncio
import gzip
import json
import logging
import socket
import time
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request

from vllm_messages_plugin.http.body import MIN_BYTES_PER_SECOND, BodyLimits, arriving, read_body
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.wire.errors import MessagesError


async def test_a_body_over_the_limit_is_a_413() -> None:
    transport = httpx.ASGITransport(app_with(FakeEngine(), max_body_mb=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        reply = await http.post("/v1/messages", content=b" " * (1024 * 1024 + 1))
    assert reply.status_code == 413
    assert reply.json()["error"]["type"] == "request_too_large"


async def test_an_unsupported_content_encoding_is_named() -> None:
    transport = httpx.ASGITransport(app_with(FakeEngine()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        reply = await http.post("/v1/messages", content=b"x", headers={"content-encoding": "br"})
    assert reply.status_code == 400
    assert reply.json()["error"]["details"] == {"error_code": "request_body_encoding_unsupported"}


GOOD = json.dumps({"model": "fake", "messages": [{"role": "user", "content": "x"}]}).encode()


async def sent(body: bytes, encoding: str = "gzip") -> httpx.Response:
    transport = httpx.ASGITransport(app_with(FakeEngine(), max_body_mb=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        headers = {"content-encoding": encoding}
        return await http.post("/v1/messages/count_tokens", content=body, headers=headers)


async def test_a_gzip_body_is_accepted() -> None:
    assert (await sent(gzip.compress(GOOD))).json() == {"input_tokens": 1}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no gzip", 400, "request_body_encoding_invalid"),
        (gzip.compress(GOOD)[:-9], 400, "request_body_encoding_invalid"),
        (gzip.compress(b" " * (1024 * 1024 + 1)), 413, "request_body_too_large_after_decoding"),
    ],
)
async def test_a_broken_or_oversized_gzip_body_is_refused_with_an_error_code(
    body: bytes, status: int, code: str
) -> None:
    reply = await sent(body)
    assert reply.status_code == status
    assert reply.json()["error"]["details"] == {"error_code": code}


def request_of(*steps: bytes | float | None) -> Request:
    """A request whose body arrives in steps: bytes, a pause in seconds, or None for a disconnect."""
    queue = list(steps)

    async def receive() -> dict[str, Any]:
        while queue:
            step = queue.pop(0)
            if step is None:
                return {"type": "http.disconnect"}
            if isinstance(step, bytes):
                return {"type": "http.request", "body": step, "more_body": bool(queue)}
            await asyncio.sleep(step)
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    return Request(scope, receive)


async def test_a_body_slower_than_the_floor_is_refused_after_its_grace_period() -> None:
    with pytest.raises(MessagesError) as raised:
        await read_body(request_of(b"{", 5.0, b"}"), BodyLimits(1000, grace_seconds=0.05))
    assert (raised.value.kind, raised.value.status) == ("timeout_error", 408)
    assert str(MIN_BYTES_PER_SECOND) in raised.value.message


async def test_a_large_body_gets_time_in_proportion_to_what_has_arrived() -> None:
    piece = b" " * MIN_BYTES_PER_SECOND
    request = request_of(piece, 0.1, piece, 0.1, b"{}")
    assert len(await read_body(request, BodyLimits(10**6, grace_seconds=0.05))) == 2 * len(piece) + 2


async def test_a_body_that_arrived_while_the_server_stood_still_is_accepted() -> None:
    """A stopped or starved process finds its timer due before it has read what the client sent in time."""
    ours, clients = socket.socketpair()
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(ours, readable.set)

    async def receive() -> dict[str, Any]:
        await readable.wait()
        return {"type": "http.request", "body": ours.recv(100), "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}
    reading = asyncio.create_task(read_body(Request(scope, receive), BodyLimits(1000, grace_seconds=0.05)))
    await asyncio.sleep(0.01)
    clients.sendall(b"{}")
    time.sleep(0.1)  # noqa: ASYNC251 - the loop is to stand still
    try:
        assert await reading == b"{}"
    finally:
        loop.remove_reader(ours)
        ours.close()
        clients.close()


async def test_what_the_caller_does_with_a_chunk_is_not_the_clients_time() -> None:
    request = request_of(b"{", b" ", b"}")
    received = b""
    async for chunk in arriving(request, 0.05):
        received += chunk
        await asyncio.sleep(0.06)
    assert received == b"{ }"


async def test_a_slow_body_is_awaited_where_the_limit_is_off() -> None:
    assert await read_body(request_of(b"{", 0.1, b"}"), BodyLimits(1000)) == b"{}"


async def test_a_disconnect_within_the_body_is_raised() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(request_of(b"{", None), BodyLimits(1000))


async def test_the_connection_of_a_slow_body_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    request = request_of(b"{", 5.0, b"}")
    scope = request.scope | {"query_string": b"", "root_path": ""}
    await app_with(FakeEngine(), slow_request_seconds=0.05)(scope, request.receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_cut_upload_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    request = request_of(b'{"model":', None)
    scope = request.scope | {"query_string": b"", "root_path": ""}

    async def send(message: dict[str, Any]) -> None:
        pass

    await app_with(FakeEngine())(scope, request.receive, send)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
