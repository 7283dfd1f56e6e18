"""Sends an attack to a server and collects what its senders and the bystanders noticed."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from attack import probe
from attack.attacks import Attack
from support.server import Server

TIMEOUT = 180  # seconds that a sender waits for its reply
LEAD_SECONDS = 1.0  # how long the bystanders run before the attack
TRAIL_SECONDS = 0.5
PROMPT_TOKENS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True)
class Reply:
    """A reply to one request of an attack; status 0 if there was none. `tokens` is the prompt's length."""

    status: int
    milliseconds: float
    head: bytes
    tokens: int | None = None


@dataclass(frozen=True)
class Result:
    """One attack on one server. Times are the longest, in milliseconds; memory is in MiB.

    Attributes:
        replies: What the senders got.
        seconds: How long the attack took.
        stall: Between two turns of the server's event loop; see `probe`.
        neighbour: A small request of another client.
        failed: Requests of bystanders that were not answered with 200.
        memory: The growth of the server's resident memory at its peak.
        tokens: The length of its prompt, as the reply gives it; None if it was not served.
    """

    replies: tuple[Reply, ...]
    seconds: float
    stall: float
    health: float
    neighbour: float
    failed: int
    memory: float
    tokens: int | None

    @property
    def statuses(self) -> Counter[int]:
        return Counter(reply.status for reply in self.replies)

    @property
    def refused_within(self) -> float | None:
        """The slowest refusal because of overload, in milliseconds."""
        times = [reply.milliseconds for reply in self.replies if reply.status == 529]
        return max(times) if times else None


@contextmanager
def bystanders(server: Server, noticed: dict[str, Any]) -> Iterator[None]:
    """Run the bystanders for the length of the block and keep what they noticed."""
    command = [sys.executable, "-m", "attack.watch", server.url, str(server.process.pid)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    try:
        time.sleep(LEAD_SECONDS)
        yield
        time.sleep(TRAIL_SECONDS)
    finally:
        output, _ = process.communicate()
    noticed.update(json.loads(output))


def send_all(server: Server, attack: Attack) -> list[Reply]:
    """Send all requests of an attack at once, each on a connection that is open before."""
    address = urlsplit(server.url)
    return asyncio.run(send_to(str(address.hostname), address.port or 80, attack))


async def send_to(host: str, port: int, attack: Attack) -> list[Reply]:
    """As `send_all`, by address."""
    content = attack.body() if attack.raw else _post(attack.path, attack.body())
    connections = [await asyncio.open_connection(host, port) for _ in range(attack.copies)]
    return await asyncio.gather(*(_send(*connection, content) for connection in connections))


def _post(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: server\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> Reply:
    """Send a request and read until the server closes the connection; the time is that of the first byte."""
    begin, first, received = time.perf_counter(), None, b""
    try:
        async with asyncio.timeout(TIMEOUT):
            writer.write(content)
            await writer.drain()
            while piece := await reader.read(65536):
                first = first or time.perf_counter()
                received += piece
    except (OSError, TimeoutError) as error:
        received = received or repr(error).encode()
    finally:
        writer.close()
    milliseconds = ((first or time.perf_counter()) - begin) * 1000
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head.startswith(b"HTTP/") else 0
    tokens = _prompt_tokens(body) if status == 200 else None
    return Reply(status, milliseconds, body[:300] if status else received[:300], tokens)


def _prompt_tokens(body: bytes) -> int | None:
    """The tokens of the prompt that a message says it answers; None for another reply."""
    usage = json.loads(body).get("usage")
    return usage and sum(usage.get(field) or 0 for field in PROMPT_TOKENS)


def take_stall(server: Server) -> dict[str, float]:
    """Return the longest stall of the server's event loop since the last call."""
    with urlopen(server.url + probe.PATH, timeout=TIMEOUT) as reply:
        found: dict[str, float] = json.load(reply)
        return found


def measure(attack: Attack, server: Server) -> Result:
    """Attack a server that was started with the probe, while bystanders use it."""
    noticed = dict[str, Any]()
    with bystanders(server, noticed):
        take_stall(server)
        begin = time.perf_counter()
        replies = send_all(server, attack)
        seconds = time.perf_counter() - begin
        stall = take_stall(server)
    return Result(
        replies=tuple(replies),
        seconds=seconds,
        stall=stall["stall"],
        health=noticed["health"]["longest"],
        neighbour=noticed["neighbour"]["longest"],
        failed=noticed["neighbour"]["failed"] + noticed["health"]["failed"],
        memory=noticed["memory"]["peak"] - noticed["memory"]["before"],
        tokens=max((reply.tokens for reply in replies if reply.tokens), default=None),
    )
