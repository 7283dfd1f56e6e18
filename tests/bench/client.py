"""A client that costs next to nothing: requests over plain sockets, of whose answers little is read."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 1 << 16
TAIL_BYTES = 1 << 13
TIMEOUT_SECONDS = 300
JSON = "application/json"
_OUTPUT_TOKENS = re.compile(rb'"output_tokens":\s*(\d+)')


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and the end of its body."""

    status: int
    headers: Mapping[str, str]
    tail: bytes

    @property
    def output_tokens(self) -> int:
        """What the usage at the end of a stream says."""
        return int(_OUTPUT_TOKENS.findall(self.tail)[-1])


async def _ask(url: str, path: str, body: bytes | None, kind: str = JSON) -> Answer:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"host: {host}", "connection: close"]
        if body is not None:
            lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
        writer.write("\r\n".join((*lines, "", "")).encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        tail = b""
        while data := await reader.read(READ_BYTES):
            tail = (tail + data)[-TAIL_BYTES:]
    finally:
        writer.close()
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return _checked(Answer(int(head[0].split()[1]), headers, tail))


def _checked(answer: Answer) -> Answer:
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}: {answer.tail.decode(errors='replace')}")
    return answer


async def _ask_all(
    url: str, path: str, bodies: Sequence[bytes | None], kind: str = JSON, at_once: int | None = None
) -> list[Answer]:
    places = asyncio.Semaphore(at_once or len(bodies))

    async def ask(body: bytes | None) -> Answer:
        async with places:
            return await _ask(url, path, body, kind)

    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await asyncio.gather(*map(ask, bodies))


def post(url: str, path: str, *bodies: Any, at_once: int | None = None) -> list[Answer]:
    """The answers to requests sent at the same time, or so many of them at a time."""
    encoded = [json.dumps(body).encode() for body in bodies]
    return asyncio.run(_ask_all(url, path, encoded, at_once=at_once))


def send(url: str, path: str, body: bytes, kind: str) -> Answer:
    """The answer to a POST with a body of any type."""
    return asyncio.run(_ask_all(url, path, [body], kind))[0]


def get(url: str, path: str) -> Answer:
    """The answer to a GET."""
    return asyncio.run(_ask_all(url, path, [None]))[0]
