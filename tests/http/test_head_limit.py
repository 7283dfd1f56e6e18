"""Heads of requests without end: refused after a bounded number of bytes, on uvicorn's parser httptools."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from support.loopback import serving_app
from vllm_messages_plugin.http.arrivals import spread_arrivals
from vllm_messages_plugin.http.head_limit import MAX_FIELDS, MAX_HEAD_BYTES, limit_heads
from vllm_messages_plugin.http.header_timeout import limit_header_time

MiB = 1024 * 1024
LINE = b"POST / HTTP/1.1\r\nhost: server\r\n"
MOST_BYTES = 8 * MiB  # what buffers of the kernel and of uvicorn take beside the bound


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Replies with the names of the header fields and the length of the body, slowly for `/slow`."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    names = [name.decode() for name, _ in scope["headers"]]
    body = json.dumps({"names": names, "length": length}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.sleep(5)
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(http: str = "httptools") -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=http, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    limit_heads(server)
    limit_heads(server)  # does nothing more
    limit_header_time(server, 30)
    spread_arrivals(server)
    async with serving_app(server) as port:
        yield port


async def sent_until_refused(port: int, head: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send a head and then a piece over and over; return how many bytes were taken, and the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    sent = 0
    try:
        while sent < 10 * MOST_BYTES:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    try:
        return sent, await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return sent, b""
    finally:
        writer.close()


async def reply_to(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    reply = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return reply


def read(reply: bytes) -> dict[str, Any]:
    """What the app replied with, in one chunk."""
    found: dict[str, Any] = json.loads(reply.partition(b"\r\n\r\n")[2].split(b"\r\n")[1])
    return found


CHUNKED = LINE + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"
ENDLESS = {
    "fields": (LINE, b"x: " + b"a" * 60_000 + b"\r\n"),
    "short fields": (LINE, b"a:\r\n" * 1_000),
    "a value": (LINE + b"x: ", b"a" * 60_000),
    "a name": (LINE, b"a" * 60_000),
    "a URL": (b"POST /", b"a" * 60_000),
    "trailers": (CHUNKED + b"0\r\n", b"x: " + b"a" * 60_000 + b"\r\n"),
    "a trailer": (CHUNKED + b"0\r\nx: ", b"a" * 60_000),
    "a chunk's extension": (CHUNKED + b"1;", b"a" * 60_000),
    "fields behind a request that is being served": (
        b"GET /slow HTTP/1.1\r\nhost: server\r\n\r\n" + LINE + b"x: ",
        b"a" * 60_000,
    ),
}


@pytest.mark.parametrize(("head", "piece"), ENDLESS.values(), ids=ENDLESS)
async def test_a_head_without_end_is_ended(head: bytes, piece: bytes) -> None:
    async with serving() as port:
        sent, _ = await sent_until_refused(port, head, piece)
        assert sent < MOST_BYTES
        assert (await reply_to(port, LINE + b"content-length: 2\r\n\r\nab")).startswith(b"HTTP/1.1 200")


def fields(count: int) -> Iterator[bytes]:
    yield from (b"x%d: y\r\n" % number for number in range(count))


async def test_too_many_fields_get_anthropics_error() -> None:
    async with serving() as port:
        reply = await reply_to(port, LINE + b"".join(fields(MAX_FIELDS)) + b"\r\n")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


async def test_too_long_fields_get_it_too() -> None:
    async with serving() as port:
        reply = await reply_to(port, LINE + b"x: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_what_clients_send_is_taken(http: str) -> None:
    many = b"".join(fields(MAX_FIELDS // 2)) + b"cookie: " + b"a" * 16_000 + b"\r\n"
    body = b"x" * (3 * MAX_HEAD_BYTES)
    async with serving(http) as port:
        reply = await reply_to(port, LINE + many + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert read(reply)["length"] == len(body)


async def test_a_body_in_tiny_chunks_is_no_long_head() -> None:
    chunks = b"1\r\nx\r\n" * (MAX_HEAD_BYTES // 4)
    async with serving() as port:
        reply = await reply_to(port, LINE + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert read(reply)["length"] == MAX_HEAD_BYTES // 4


async def test_trailers_are_no_headers() -> None:
    async with serving() as port:
        reply = await reply_to(port, CHUNKED + b"0\r\nx-api-key: k\r\n\r\n")
    assert read(reply)["names"] == [
        "host",
        "transfer-encoding",
    ]
