"""Whether the front end keeps pace with an engine that makes tokens at a steady rate."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from bench import prompts
from bench.frontend import load
from bench.frontend.measure import FLAGS, token_ids
from bench.frontend.servers import ApiServer, server_pair
from bench.source import source
from bench.tables import Table
from bench.verdicts import Verdict

PATH = "/v1/messages"
TEMPLATE = "qwen_like"
CHARACTERS_PER_TOKEN = 4
"""More than the text of a token has, so that a text is long enough."""
CPU_LIMIT, BEHIND_LIMIT, GAP_LIMIT = 0.67, 50.0, 20.0
"""Of a core; and milliseconds, at the fastest pace."""
NOTES = """\
The scripted engine makes a token of text for each stream at a steady pace, whether the server keeps up or \
not. CPU is the share of one core that the server's process used until the engine's last step; behind is how \
many milliseconds later the last byte reached the client; gap is the time between two pieces of a stream as \
the client gets them, of which one in a hundred is longer. Tokens that wait are sent together, so a server \
that is behind writes fewer pieces than tokens. The client and the engine share a process and the second \
core."""


@dataclass(frozen=True, slots=True)
class Pace:
    """So many streams, with so many tokens a second each, for some seconds."""

    streams: int
    rate: int
    seconds: float = 5.0

    def __str__(self) -> str:
        return f"{self.streams} streams x {self.rate} tokens/s"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; the last pace is the one that must be kept."""

    rounds: int = 3
    paces: Sequence[Pace] = (Pace(64, 100), Pace(256, 25), Pace(256, 50), Pace(256, 100))


QUICK = Sizes(rounds=1, paces=(Pace(2, 20, 0.5),))


@dataclass(frozen=True, slots=True)
class Kept:
    """How one server kept a pace.

    Attributes:
        cpu: The share of a core that its process used.
        behind: Milliseconds from the engine's last step to the last byte.
        gap: Milliseconds between two pieces of a stream; one in a hundred is longer.
        pieces: Pieces by tokens: 1 if each token was sent alone.
    """

    cpu: float
    behind: float
    gap: float
    pieces: float


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of both servers at one pace."""

    pace: Pace
    plugin: Kept
    native: Kept


def measure(sizes: Sizes, logs: Path, progress: Callable[[str], None]) -> list[Row]:
    """Measure both servers in turn."""
    progress("starting two servers for a steady pace")
    with server_pair(TEMPLATE, FLAGS[TEMPLATE], logs=logs, name="pace") as servers:
        rows = []
        for pace in sizes.paces:
            progress(str(pace))
            rounds = [[_kept(server, pace) for server in servers] for _ in range(sizes.rounds)]
            rows.append(Row(pace, *(_median([each[place] for each in rounds]) for place in (0, 1))))
        return rows


def _median(found: Sequence[Kept]) -> Kept:
    columns = zip(*((each.cpu, each.behind, each.gap, each.pieces) for each in found), strict=True)
    return Kept(*map(statistics.median, columns))


def _kept(server: ApiServer, pace: Pace) -> Kept:
    core = server.core
    tokens = round(pace.rate * pace.seconds)
    *text, end = token_ids(TEMPLATE, source(tokens * CHARACTERS_PER_TOKEN))
    core.reply, core.streams = [*text[: tokens - 1], end], pace.streams
    core.seconds_per_step, core.lockstep = 1 / pace.rate, False
    body = {**prompts.short(0), "max_tokens": 8_192, "stream": True}
    streams = uvloop.run(_read_all(server.port, json.dumps(body).encode(), pace.streams))
    gaps = sorted(gap for stream in streams for gap in stream.gaps)
    return Kept(
        cpu=(core.cpu_at_last_step - core.cpu_before_first_step) / (core.last_step - core.first_step),
        behind=(max(stream.last for stream in streams) - core.last_step) * 1e3,
        gap=gaps[int(len(gaps) * 0.99)] * 1e3,
        pieces=len(gaps) / (pace.streams * (tokens - 1)),
    )


async def _read_all(port: int, body: bytes, streams: int) -> list["_Stream"]:
    loop = asyncio.get_running_loop()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    connecting = (loop.create_connection(lambda: _Stream(request), "127.0.0.1", port) for _ in range(streams))
    opened = await asyncio.gather(*connecting)
    try:
        async with asyncio.timeout(load.TIMEOUT_SECONDS):
            await asyncio.gather(*(stream.ended for _, stream in opened))
    finally:
        for transport, _ in opened:
            transport.close()
    return [stream for _, stream in opened]


class _Stream(asyncio.Protocol):
    """One reply, of which only the times of its pieces are kept.

    Attributes:
        gaps: Seconds between two pieces, from the first with a token of its own on.
        last: When the last piece came.
        ended: Done when the reply has ended.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.gaps: list[float] = []
        self.last = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self.last:
            self.gaps.append(now - self.last)
        elif not data.startswith(b"HTTP/1.1 200"):
            self.ended.set_exception(RuntimeError(data.decode(errors="replace")))
        self.last = now
        self._tail = (self._tail + data)[-len(load.LAST_CHUNK) :]
        if self._tail == load.LAST_CHUNK and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))


def table(rows: Sequence[Row]) -> Table:
    """A line for each pace and server."""
    columns = ["pace", "server", "CPU, % of a core", "behind, ms", "gap, ms", "pieces a token"]
    lines = []
    for row in rows:
        for name, kept in (("plugin", row.plugin), ("vLLM Messages", row.native)):
            numbers = (f"{kept.cpu:.0%}", f"{kept.behind:.0f}", f"{kept.gap:.1f}", f"{kept.pieces:.2f}")
            lines.append([str(row.pace), name, *numbers])
    return Table(columns, lines, names=2)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Whether the plugin keeps the last pace."""
    kept, pace = rows[-1].plugin, rows[-1].pace
    measured = (
        (kept.cpu, CPU_LIMIT, f"CPU {kept.cpu:.0%}"),
        (kept.behind, BEHIND_LIMIT, f"{kept.behind:.0f} ms behind"),
        (kept.gap, GAP_LIMIT, f"gap {kept.gap:.0f} ms"),
    )
    subject = (
        f"At {pace} the plugin uses at most {CPU_LIMIT:.0%} of a core, is at most {BEHIND_LIMIT:g} ms behind "
        f"and has gaps of at most {GAP_LIMIT:g} ms in 99 of 100"
    )
    return [
        Verdict(
            subject,
            ", ".join(text for *_, text in measured),
            [text for number, limit, text in measured if number > limit],
        )
    ]
