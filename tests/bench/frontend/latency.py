"""How long a client waits for the front end: first events, and stalls of the event loop."""

import json
import statistics
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attack import probe
from bench import prompts
from bench.frontend import load
from bench.frontend.measure import FLAGS
from bench.frontend.servers import ApiServer, server_pair
from bench.tables import Table
from bench.verdicts import Verdict

PATH = "/v1/messages"
STREAMS = 64
FIRST_EVENT_LIMIT, STALL_LIMIT = 10.0, 10.0
"""Milliseconds."""
FIRST_EVENT = f"first event, {STREAMS} streams"
STALL = "longest stall of the event loop"
NOTES = f"""\
Milliseconds. The first event is timed from the engine's first step, which has a token for each of \
{STREAMS} streams that began together, to the first bytes of each body, read by one client process: the \
median and the slowest. A stall is the longest time in which the event loop ran nothing else, while \
requests of this size were answered; a watchdog on the loop measures it, and leaves out the time in which \
the machine had no processor for it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    turns: Sequence[int] = (3, 32, 95, 330)


QUICK = Sizes(rounds=1, turns=(0,))


@dataclass(frozen=True, slots=True)
class Wait:
    """Milliseconds on both servers."""

    name: str
    plugin: float
    native: float


def measure(sizes: Sizes, logs: Path, progress: Callable[[str], None]) -> list[Wait]:
    """Measure both servers in turn."""
    flags = (*FLAGS["qwen_like"], "--middleware", "attack.probe.Probe")
    progress("starting two servers with a watchdog")
    with server_pair("qwen_like", flags, logs=logs, name="latency") as servers:
        for server in servers:
            _stall(server)
        progress(FIRST_EVENT)
        rounds = [[_first_events(server) for server in servers] for _ in range(sizes.rounds + 1)][1:]
        medians, slowest = (
            [statistics.median(how(each[place]) for each in rounds) for place in range(len(servers))]
            for how in (statistics.median, max)
        )
        found = [Wait(f"{FIRST_EVENT}: median", *medians), Wait(f"{FIRST_EVENT}: slowest", *slowest)]
        found.append(Wait(f"{STALL}, {STREAMS} streams", *map(_stall, servers)))
        for turns in sizes.turns:
            progress(f"stalls behind {turns} turns")
            stalls = [_stall_of(server, turns, sizes.rounds) for server in servers]
            tokens = servers[0].core.prompt_tokens
            found.append(Wait(f"{STALL}, prompts of {tokens:,} tokens", *stalls))
        return found


def _first_events(server: ApiServer) -> list[float]:
    """Milliseconds from the engine's first step to the first event of each stream."""
    server.core.reply, server.core.streams = (1, 1, 1, 1), STREAMS
    body = {**prompts.short(0), "max_tokens": 16, "stream": True}
    replies = load.post(server.port, PATH, [json.dumps(body).encode()] * STREAMS)
    return [(reply.first_data - server.core.first_step) * 1000 for reply in replies]


def _stall_of(server: ApiServer, turns: int, rounds: int) -> float:
    """The longest stall while first and next turns of some sessions are answered."""
    server.core.reply, server.core.streams = (1,), 1
    bodies: list[dict[str, Any]] = [
        body for number in range(rounds) for body in prompts.session(number, turns)
    ]
    _stall(server)
    for body in bodies:
        load.post(server.port, PATH, [json.dumps(body).encode()])
    return _stall(server)


def _stall(server: ApiServer) -> float:
    """The longest stall since the last call; the first call starts the watchdog."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{probe.PATH}", timeout=60) as reply:
        return float(json.load(reply)["stall"])


def table(rows: Sequence[Wait]) -> Table:
    """A line for each wait."""
    return Table(
        ["", "plugin", "vLLM Messages"],
        [[row.name, f"{row.plugin:.1f}", f"{row.native:.1f}"] for row in rows],
    )


def verdicts(rows: Sequence[Wait]) -> list[Verdict]:
    """Whether the limits hold."""
    return [
        _verdict(f"The first event of {STREAMS} streams leaves within", FIRST_EVENT_LIMIT, rows, FIRST_EVENT),
        _verdict("The event loop stalls for at most", STALL_LIMIT, rows, STALL),
    ]


def _verdict(subject: str, limit: float, rows: Sequence[Wait], name: str) -> Verdict:
    mine = [row for row in rows if row.name.startswith(name)]
    misses = [f"{row.name} ({row.plugin:.0f})" for row in mine if row.plugin > limit]
    most = max((row.plugin for row in mine), default=0.0)
    return Verdict(f"{subject} {limit:g} ms", f"{most:.1f} ms", misses)
