"""Requests that are refused from their first bytes: which they are, and that the reply is the usual one."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from support.loopback import serving_app
from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.metrics import Metrics
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.arrivals import spread_arrivals
from vllm_messages_plugin.http.early_refusal import EarlyRefusal
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

BODY = b'{"model": "fake", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}'
LENGTH = b"content-length: %d" % len(BODY)
USUAL = (b"Host: server", b"Content-Type: application/json", b"X-Api-Key: secret", LENGTH)


def post(
    fields: Sequence[bytes] = USUAL, body: bytes = BODY, line: bytes = b"POST /v1/messages HTTP/1.1"
) -> bytes:
    return b"\r\n".join([line, *fields, b"", body])


def refusal(limit: int | None = 0, accounting: Accounting | None = None) -> EarlyRefusal:
    return EarlyRefusal(Admission(limit), accounting or Accounting())


def parsed(reply: bytes) -> tuple[bytes, dict[str, str], dict[str, Any]]:
    head, _, body = reply.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    headers = dict(field.decode().lower().split(": ", 1) for field in fields)
    assert int(headers["content-length"]) == len(body)
    return line, headers, json.loads(body)


LINES = (
    b"POST /v1/messages HTTP/1.1",
    b"POST /v1/messages?beta=true HTTP/1.1",
    b"POST /v1/messages/count_tokens?beta=true HTTP/1.1",
)


@pytest.mark.parametrize("line", LINES)
def test_a_request_above_the_bound_is_refused(line: bytes) -> None:
    reply = refusal()(post(line=line), "127.0.0.1:1")
    assert reply is not None
    status, headers, body = parsed(reply)
    assert status == b"HTTP/1.1 529 "
    assert body["error"] == {
        "type": "overloaded_error",
        "message": "Overloaded: too many requests are waiting",
    }
    assert headers["request-id"] == body["request_id"]
    assert headers["connection"] == "close"


@pytest.mark.parametrize("limit", [1, None])
def test_a_request_within_the_bound_is_not(limit: int | None) -> None:
    assert refusal(limit)(post(), "") is None


OTHERS = {
    "another method": post(line=b"GET /v1/messages HTTP/1.1"),
    "another path": post(line=b"POST /v1/messages/batches HTTP/1.1"),
    "a doubled version": post(line=b"POST /v1/v1/messages HTTP/1.1"),
    "HTTP/1.0": post(line=b"POST /v1/messages HTTP/1.0"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00",
    "a part of the head": post()[:60],
    "a part of the body": post()[:-1],
    "more than the body": post() + b"POST",
    "no length": post([b"host: server"], b""),
    "two lengths": post([*USUAL, LENGTH]),
    "a length that is no number": post([b"content-length: +84"]),
    "a length without end": post([b"content-length: " + b"9" * 5_000]),
    "chunks": post([*USUAL, b"transfer-encoding: chunked"]),
    "an origin": post([*USUAL, b"Origin: https://page"]),
    "a client that waits": post([*USUAL, b"Expect: 100-continue"]),
    "an upgrade": post([*USUAL, b"Upgrade: websocket"]),
    "a folded field": post([b"x: a", b" b", *USUAL]),
    "a bare line feed": post([b"x: a\nb: c", *USUAL]),
    "a zero byte": post([b"x: a\0", *USUAL]),
    "a name with a space": post([b"content-length : 84"]),
    "nothing": b"",
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_leaves_a_doubt_takes_the_usual_way(data: bytes) -> None:
    assert refusal()(data, "") is None


@given(
    st.lists(st.sampled_from([*USUAL, b"\r", b"\n", b":", b" ", b"\0", b"x: y", post()])),
    st.binary(max_size=90),
)
def test_odd_bytes_never_raise(pieces: list[bytes], body: bytes) -> None:
    reply = refusal()(b"\r\n".join([LINES[0], *pieces, b"", body]), "")
    assert reply is None or reply.startswith(b"HTTP/1.1 529 ")


def test_it_is_counted() -> None:
    registry = CollectorRegistry()
    refuse = refusal(accounting=Accounting(metrics=Metrics(registry)))
    for _ in range(3):
        assert refuse(post(), "") is not None
    counted = {
        sample.labels["reason"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name.endswith("refused_total")
    }
    assert counted == {"queue": 3}


def test_a_server_that_shuts_down_refuses_all() -> None:
    admission = Admission()
    refuse = EarlyRefusal(admission, Accounting())
    assert refuse(post(), "") is None
    admission.shut_down()
    reply = refuse(post(), "")
    assert reply is not None
    assert parsed(reply)[2]["error"]["message"] == "The server is shutting down"


@asynccontextmanager
async def serving(early: bool) -> AsyncIterator[int]:
    """A server that refuses everything."""
    admission = Admission(limit=0)
    app = app_with(FakeEngine(), admission=admission)
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    spread_arrivals(server, EarlyRefusal(admission, Accounting()) if early else None)
    async with serving_app(server) as port:
        yield port


async def asked(port: int, *pieces: bytes) -> bytes:
    """Everything that a server sends to a client that writes these pieces, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.05)
    reply = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return reply


async def test_the_reply_is_that_of_the_error_middleware() -> None:
    data = post([*USUAL, b"connection: close"])
    async with serving(early=True) as port:
        early = parsed(await asked(port, data))
    async with serving(early=False) as port:
        usual = parsed(await asked(port, data))
    for _, headers, body in (early, usual):
        assert headers.pop("request-id") == body.pop("request_id")
        assert 1 <= int(headers.pop("retry-after")) <= 4
    assert usual[1].keys() - early[1].keys() == {"date", "server"}  # uvicorn's own
    assert early[1].items() <= usual[1].items()
    assert (early[0], early[2]) == (usual[0], usual[2])


async def test_a_request_in_pieces_gets_the_usual_refusal() -> None:
    data = post([*USUAL, b"connection: close"])
    async with serving(early=True) as port:
        status, headers, body = parsed(await asked(port, data[:40], data[40:]))
    assert status == b"HTTP/1.1 529 "
    assert headers["request-id"] == body["request_id"]
    assert "date" in headers


async def test_the_second_request_of_a_connection_gets_the_usual_refusal() -> None:
    async with serving(early=True) as port:
        first = b"GET /v1/models HTTP/1.1\r\nhost: server\r\n\r\n"
        reply = await asked(port, first, post([*USUAL, b"connection: close"]))
    assert reply.startswith(b"HTTP/1.1 200 OK")
    assert reply.count(b"HTTP/1.1 529 ") == 1
