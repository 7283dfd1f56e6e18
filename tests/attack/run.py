"""Sends an attack to a server and collects what its senders and the bystanders noticed."""

import http.client
import json
import socket
import subprocess
import sys
import threading
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


@dataclass(frozen=True)
class Reply:
    """A reply to one request of an attack; status 0 if there was none."""

    status: int
    milliseconds: float
    head: bytes


@dataclass(frozen=True)
class Result:
    """One attack on one server. Times are the longest, in milliseconds; memory is in MiB.

    Attributes:
        replies: What the senders got.
        seconds: How long the attack took.
        stall: CPU time between two turns of the server's event loop.
        neighbour: A small request of another client.
        failed: Requests of bystanders that were not answered with 200.
        memory: The growth of the server's resident memory at its peak.
    """

    replies: tuple[Reply, ...]
    seconds: float
    stall: float
    health: float
    neighbour: float
    failed: int
    memory: float

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


def send(server: Server, attack: Attack, body: bytes) -> Reply:
    """Send one request of an attack."""
    return _send_raw(server, body) if attack.raw else _post(server, attack, body)


def _send_raw(server: Server, content: bytes) -> Reply:
    begin, received = time.perf_counter(), b""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT) as connection:
        connection.sendall(content)
        try:
            while piece := connection.recv(65536):
                received += piece
        except OSError as error:
            received = received or repr(error).encode()
    status = int(received.split()[1]) if received.startswith(b"HTTP/") else 0
    return Reply(status, (time.perf_counter() - begin) * 1000, received[:300])


def _post(server: Server, attack: Attack, body: bytes) -> Reply:
    begin = time.perf_counter()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", attack.path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        took = (time.perf_counter() - begin) * 1000
        return Reply(reply.status, took, reply.read()[:300])
    except OSError as error:
        return Reply(0, (time.perf_counter() - begin) * 1000, repr(error).encode())
    finally:
        connection.close()


def send_all(server: Server, attack: Attack) -> list[Reply]:
    """Send all requests of an attack at once."""
    body, replies = attack.body(), list[Reply]()
    senders = [
        threading.Thread(target=lambda: replies.append(send(server, attack, body)), daemon=True)
        for _ in range(attack.copies)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return replies


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
        stall=stall["cpu"],
        health=noticed["health"]["longest"],
        neighbour=noticed["neighbour"]["longest"],
        failed=noticed["neighbour"]["failed"] + noticed["health"]["failed"],
        memory=noticed["memory"]["peak"] - noticed["memory"]["before"],
    )
