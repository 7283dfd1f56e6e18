"""Runs many clients against a scripted server; fails on any protocol violation or leak.

    PYTHONPATH=tests python -m soak [--minutes 30] [--streams 64] [--restarts 1] [--write]

The time is divided among several servers. Each is warmed up, measured while idle, put under load, and
measured while idle again. All but the last are then stopped under load: every open request must end with its
server.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from soak import typescript
from soak.load import Counts, Load
from soak.report import Outcome, Segment, write
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
FLAGS = ("--dtype", "float32", "--max-num-seqs", "64", "--middleware", "soak.probe.Probe")
WARM_UP = 0.25  # of a server's time
UNDER_LOAD_SECONDS = 5.0
END_SECONDS = 60.0


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server whose engine has a process of its own."""
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    environment = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "VLLM_MESSAGES_SLOW_REQUEST_SECONDS": "120",  # clients share the cores and may stand still
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    with start_server(tiny.model_directory(), *FLAGS, env=environment) as server:
        yield server


async def soak(server: Server, load: Load, seconds: float) -> Segment:
    """Warm up, measure, put under load, measure."""
    await load.run(seconds * WARM_UP)
    before = await load.held()
    length = seconds * (1 - WARM_UP)
    await asyncio.gather(load.run(length), typescript.run(server, length, load.counts))
    return Segment(before, await load.held())


async def stop_under_load(server: Server, load: Load) -> int:
    """Stop the server while clients work; return how many requests did not end."""
    clients = asyncio.create_task(load.run(3600))
    await asyncio.sleep(UNDER_LOAD_SECONDS)
    load.stopping.set()
    server.process.terminate()
    done, pending = await asyncio.wait({clients}, timeout=END_SECONDS)
    for task in done:
        task.result()
    for task in pending:
        task.cancel()
    return len(pending)


async def run(minutes: float, streams: int, restarts: int) -> Outcome:
    """Run all servers one after the other."""
    counts, segments, still_open = Counts(), [], 0
    for number in range(restarts + 1):
        with serving() as server:
            load = Load(server.url, server.model, streams, seed=number, counts=counts)
            print(f"==> server {number + 1} of {restarts + 1}", file=sys.stderr, flush=True)
            segments.append(await soak(server, load, minutes * 60 / (restarts + 1)))
            if number < restarts:
                still_open += await stop_under_load(server, load)
    return Outcome(minutes, streams, counts, segments, still_open)


def main(arguments: Sequence[str]) -> int:
    """Run, print the table, and say what failed."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    outcome = asyncio.run(run(given.minutes, given.streams, given.restarts))
    print(outcome.table())
    if given.write:
        write(outcome.table(), PAGE)
    for failure in outcome.failures():
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if outcome.failures() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
