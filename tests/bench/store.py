"""What files and batches cost: items beside direct calls, bytes up and down, and a store that nobody uses."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import client, probe
from bench.tables import Table
from bench.verdicts import Verdict
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

FLAGS = ("--dtype", "float32", "--max-num-seqs", "16", "--middleware", "bench.probe.Probe")
MESSAGES, BATCHES, FILES = "/v1/messages", "/v1/messages/batches", "/v1/files"
AT_ONCE = 8
"""Direct calls at once: as many as items of a batch run on this server."""
WORDS = 20
MiB = 1 << 20
BOUNDARY = "bench-boundary"
POLL_SECONDS = 0.5
IDLE_LIMIT = 0.001
"""Seconds of CPU a second that an idle store may cost."""

DIRECT, ITEM = "a message called directly, 8 at once", "an item of a batch"
UP, DOWN = "a MiB of a file uploaded", "a MiB of a file downloaded"
IDLE, IDLE_WITHOUT = "a second without requests, with a store", "a second without requests, without one"
NOTES = f"""\
A server of a tiny model whose engine has a process of its own, with a store on SQLite: how many a second, \
and the CPU of the API server's process for each. A message has {WORDS} words in its reply. Bytes go over \
loopback to the disk of this machine, and come from its page cache."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is measured."""

    messages: int = 400
    megabytes: int = 200
    idle_seconds: float = 60.0


QUICK = Counts(messages=16, megabytes=4, idle_seconds=2.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """How many of a thing happen in a second, None for seconds themselves, and the CPU seconds of each."""

    name: str
    a_second: float | None
    cpu: float


def measure(counts: Counts, progress: Callable[[str], None]) -> list[Cost]:
    """Measure a server with a store, and one without while nobody uses it."""
    found = []
    with ExitStack() as stack:
        progress("starting a server with a store")
        server = stack.enter_context(_server({}))
        for name, count, do in (
            (DIRECT, counts.messages, _direct),
            (ITEM, counts.messages, _batch),
            (UP, counts.megabytes, _upload),
            (DOWN, counts.megabytes, _download),
        ):
            progress(name)
            do(server, 1)
            found.append(_cost(name, server, count, do))
        progress(IDLE)
        found.append(_idle(IDLE, server, counts.idle_seconds))
    with _server({"VLLM_MESSAGES_STORE": "off"}) as server:
        progress(IDLE_WITHOUT)
        client.post(server.url, MESSAGES, _message(0))
        found.append(_idle(IDLE_WITHOUT, server, counts.idle_seconds))
    return found


def _server(variables: dict[str, str]) -> Any:
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        **variables,
    }
    return start_server(tiny.model_directory(), *FLAGS, env=environment)


def _cost(name: str, server: Server, count: int, do: Callable[[Server, int], None]) -> Cost:
    cpu, begun = _used(server), time.perf_counter()
    do(server, count)
    seconds = time.perf_counter() - begun
    return Cost(name, count / seconds, (_used(server) - cpu) / count)


def _idle(name: str, server: Server, seconds: float) -> Cost:
    cpu = _used(server)
    time.sleep(seconds)
    return Cost(name, None, (_used(server) - cpu) / seconds)


def _used(server: Server) -> float:
    """The CPU seconds of the API server's process."""
    return float(client.get(server.url, "/health").headers[probe.USED])


def _message(number: int) -> dict[str, Any]:
    script = f"{number}:" + " word" * WORDS
    messages = [{"role": "user", "content": f"Item {number}"}]
    return {"model": "tiny", "max_tokens": 200, "messages": messages, "vllm_xargs": {"script": script}}


def _direct(server: Server, count: int) -> None:
    client.post(server.url, MESSAGES, *map(_message, range(count)), at_once=AT_ONCE)


def _batch(server: Server, count: int) -> None:
    asked = [{"custom_id": f"n{number}", "params": _message(number)} for number in range(count)]
    (made,) = client.post(server.url, BATCHES, {"requests": asked})
    path = f"{BATCHES}/{json.loads(made.tail)['id']}"
    while True:
        batch = json.loads(client.get(server.url, path).tail)
        if batch["processing_status"] == "ended":
            break
        time.sleep(POLL_SECONDS)
    if batch["request_counts"]["succeeded"] != count:
        raise RuntimeError(f"items failed: {batch['request_counts']}")


def _upload(server: Server, megabytes: int) -> None:
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    body = b"%b%b\r\n--%b--\r\n" % (head.encode(), bytes(megabytes * MiB), BOUNDARY.encode())
    client.send(server.url, FILES, body, f"multipart/form-data; boundary={BOUNDARY}")


def _download(server: Server, megabytes: int) -> None:
    listed = json.loads(client.get(server.url, FILES).tail)["data"]
    id_ = next(file["id"] for file in listed if file["size_bytes"] == megabytes * MiB)
    client.get(server.url, f"{FILES}/{id_}/content")


def table(rows: list[Cost]) -> Table:
    """One line for each cost."""
    lines = [
        [row.name, "" if row.a_second is None else f"{row.a_second:.3g}", f"{row.cpu * 1000:.3g}"]
        for row in rows
    ]
    return Table(["what", "a second", "CPU of the API server, ms"], lines)


def verdicts(rows: list[Cost]) -> list[Verdict]:
    """Whether a store that nobody uses costs next to nothing."""
    costs = {row.name: row.cpu for row in rows}
    more = costs[IDLE] - costs[IDLE_WITHOUT]
    return [
        Verdict(
            f"A store without requests costs at most {IDLE_LIMIT * 1000:g} ms of CPU a second",
            f"{more * 1000:.2f} ms",
            [IDLE] if more > IDLE_LIMIT else [],
        )
    ]
