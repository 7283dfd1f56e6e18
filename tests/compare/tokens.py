"""What a streamed token costs: CPU of everything between the engine and the client, at many streams.

The servers are those of `bench.frontend`: vLLM's real API server on a scripted engine core that lives in this
process. A gateway's cost is that of its own processes and of the API server behind it. llama.cpp has no part,
for its engine and its server are one process.
"""

import asyncio
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from bench.frontend import load
from bench.frontend.measure import FLAGS, SCENARIOS, token_ids
from bench.frontend.servers import ApiServer, api_server
from bench.source import source
from compare.contenders import (
    LITELLM,
    LLAMA,
    MODEL,
    NATIVE,
    PLUGIN,
    ROUTER,
    Contender,
    cpu_seconds,
    litellm,
    router,
)
from compare.page import STREAMS
from support.server import Server

QUICK_STREAMS = 2
ROUNDS, QUICK_ROUNDS = 3, 1
CHARACTERS, QUICK_CHARACTERS = 700, 60
TEMPLATE = "qwen_like"
TEXT = SCENARIOS[0]


@dataclass(frozen=True)
class Target:
    """Where the requests go, and whose CPU counts."""

    port: int
    groups: tuple[int, ...]
    server: ApiServer

    def used(self) -> float:
        """CPU seconds so far: the API server's, and those of the gateway's processes."""
        return self.server.cpu_seconds() + cpu_seconds(self.groups)


def measure(names: Sequence[str], quick: bool, say: Callable[[str], None]) -> Iterator[tuple[str, float]]:
    """Yield each contender's microseconds of CPU for a streamed token, the medians of rounds."""
    with TemporaryDirectory(prefix="compare-") as home:
        for name in (name for name in names if name != LLAMA):
            say(f"tokens: {name}")
            try:
                with _target(name, Path(home)) as target:
                    yield name, _cost(target, quick)
            except TimeoutError:  # it gets no number, and the others are measured all the same
                say(f"tokens: {name} left a stream open")


@contextmanager
def _target(name: str, home: Path) -> Iterator[Target]:
    flags = FLAGS[TEMPLATE]
    with api_server(TEMPLATE, flags, plugin=name == PLUGIN, log=home / f"{name}.log") as server:
        if name in (NATIVE, PLUGIN):
            yield Target(server.port, (), server)
            return
        start = {LITELLM: lambda: litellm(behind(server, home), home / LITELLM, "")}
        start[ROUTER] = lambda: router(behind(server, home), home / ROUTER)
        with start[name]() as contender:
            yield Target(_port(contender), contender.groups[:1], server)


def behind(server: ApiServer, home: Path) -> Server:
    """An API server as the gateways take it."""
    url = f"http://127.0.0.1:{server.port}"
    return Server(url, (MODEL,), 0, home, home, server.process)


def _port(contender: Contender) -> int:
    return urlsplit(contender.url).port or 80


def _cost(target: Target, quick: bool) -> float:
    """Rounds of many streams; the first warms up. What the requests cost until a token is taken off."""
    streams = QUICK_STREAMS if quick else STREAMS
    text = source(QUICK_CHARACTERS if quick else CHARACTERS)
    reply = token_ids(TEMPLATE, TEXT.reply(text))
    rounds = []
    for _ in range((QUICK_ROUNDS if quick else ROUNDS) + 1):
        whole, first = (_once(target, streams, ids) for ids in (reply, reply[-1:]))
        rounds.append((whole - first) / (streams * (len(reply) - 1)) * 1e6)
    return statistics.median(rounds[1:])


def _once(target: Target, streams: int, reply: Sequence[int]) -> float:
    core = target.server.core
    core.reply, core.streams = reply, streams
    body = {"model": MODEL, "max_tokens": 8_192, "stream": True}
    body["messages"] = [{"role": "user", "content": "Write."}]
    bodies = [json.dumps(body).encode()] * streams
    before = target.used()
    replies = asyncio.run(load.send_all(target.port, "/v1/messages", bodies))
    if any(answer.status != 200 for answer in replies):
        raise RuntimeError(f"a stream was refused: {replies[0]}")
    return target.used() - before
