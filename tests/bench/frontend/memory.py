"""What open streams, conversations and many requests add to the resident memory of an API server."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import prompts
from bench.frontend import load
from bench.frontend.measure import FLAGS
from bench.frontend.servers import ApiServer, server_pair
from bench.tables import Table
from bench.verdicts import Verdict

PATH = "/v1/messages"
OPEN_SECONDS = 3.0
"""Longer than a stream waits for the engine before it opens."""
WARM_UP = 0.2
"""This share of the requests in sequence comes before the measurement."""
LEAK_BYTES = 1024
"""The growth for each of many requests that counts as noise: 10 MB after 10,000."""
KILOBYTE = 1024

STREAM, CONVERSATION, REQUEST = "open stream", "conversation of 12,500 tokens", "request in sequence"
NOTES = """\
Kilobytes of resident memory that the API server's process of the bench above grows by: for each stream that \
waits for its first token, for each conversation that is none like the other (the plugin keeps their tokens, \
up to `VLLM_MESSAGES_TOKEN_CACHE_MB`), and for each of many short requests in sequence, after the first \
fifth of them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is measured."""

    streams: int = 256
    conversations: int = 50
    requests: int = 10_000


QUICK = Counts(streams=4, conversations=2, requests=20)


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes of resident memory for each of `count`, on both servers."""

    name: str
    count: int
    plugin: float
    native: float


def measure(counts: Counts, logs: Path, progress: Callable[[str], None]) -> list[Growth]:
    """Measure the growth of both servers."""
    with server_pair("qwen_like", FLAGS["qwen_like"], logs=logs, name="memory") as servers:
        found = []
        for name, count, grow in (
            (REQUEST, counts.requests, _by_requests),
            (CONVERSATION, counts.conversations, _by_conversations),
            (STREAM, counts.streams, _by_streams),
        ):
            progress(f"memory: {count:,} x {name}")
            found.append(Growth(name, count, *(grow(server, count) for server in servers)))
        return found


def _by_requests(server: ApiServer, count: int) -> float:
    """Bytes that each request in sequence leaves behind."""
    warm_up = max(int(WARM_UP * count), 1)
    _post(server, [_short(number) for number in range(warm_up)])
    before = _resident(server)
    _post(server, [_short(number) for number in range(warm_up, count)])
    return (_resident(server) - before) / (count - warm_up)


def _by_conversations(server: ApiServer, count: int) -> float:
    _post(server, [prompts.session(-1, 3)[0]])
    before = _resident(server)
    _post(server, [prompts.session(number, 3)[0] for number in range(count)])
    return (_resident(server) - before) / count


def _by_streams(server: ApiServer, count: int) -> float:
    """Bytes of each stream that is open and waits for the engine."""
    server.core.reply, server.core.streams = (1,), count + 1
    return asyncio.run(_hold_streams(server, count)) / count


async def _hold_streams(server: ApiServer, count: int) -> int:
    bodies = [json.dumps({**_short(number), "stream": True}).encode() for number in range(count + 1)]
    before = _resident(server)
    held = asyncio.ensure_future(load.send_all(server.port, PATH, bodies[:-1]))
    await asyncio.sleep(OPEN_SECONDS + count / 100)
    grown = _resident(server) - before
    await load.send_all(server.port, PATH, bodies[-1:])  # the engine begins when the last one has come
    await held
    return grown


def _short(number: int) -> dict[str, Any]:
    return {
        "model": "tiny",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": f"Question {number}?"}],
    }


def _post(server: ApiServer, bodies: Sequence[dict[str, Any]]) -> None:
    server.core.reply, server.core.streams = (1,), 1
    for body in bodies:
        load.post(server.port, PATH, [json.dumps(body).encode()])


def _resident(server: ApiServer) -> int:
    """Bytes of memory of the server's process, once it is idle."""
    time.sleep(0.5)
    pages = Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def table(rows: Sequence[Growth]) -> Table:
    """A line for each kind of growth."""
    return Table(
        ["growth for each", "measured over", "plugin KB", "vLLM Messages KB"], [_line(row) for row in rows]
    )


def _line(row: Growth) -> list[str]:
    return [row.name, f"{row.count:,}", f"{row.plugin / KILOBYTE:.2f}", f"{row.native / KILOBYTE:.2f}"]


def verdicts(rows: Sequence[Growth]) -> list[Verdict]:
    """Whether many requests leave nothing behind."""
    leaks = [row for row in rows if row.name == REQUEST]
    found = ", ".join(f"{row.plugin:.0f} bytes each" for row in leaks)
    misses = [f"{row.plugin:.0f} bytes each" for row in leaks if row.plugin > LEAK_BYTES]
    count = max((row.count for row in leaks), default=0)
    return [Verdict(f"{count:,} requests in sequence leave no growth beyond noise", found, misses)]
