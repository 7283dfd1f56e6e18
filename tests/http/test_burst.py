"""A real HTTP server with a fake engine gets 1,000 requests at once; `pytest -s` prints the times."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attack.attacks import Attack, ask
from attack.run import Reply, send_to

TESTS = Path(__file__).parents[1]
REQUESTS = 1_000
LIMIT = 32
SECONDS = 6  # longer than the burst takes to arrive, so that no request ends meanwhile
ROUNDS = 2  # of the printed times: other programs may hold up any one of them


@contextmanager
def serving(*module: str) -> Iterator[int]:
    """Run a server and yield its port; its own process, so that the clients take no time from its loop."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-m", *module], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()


def burst(*module: str) -> list[Reply]:
    """Send the burst to a new server and return the replies."""
    with serving(*module) as port:
        return asyncio.run(send_to("127.0.0.1", port, Attack("a burst", ask, copies=REQUESTS)))


def print_times(name: str, replies: list[Reply]) -> None:
    times = sorted(reply.milliseconds for reply in replies if reply.status == 529)
    print(
        f"{name:36} {len(times):5} refused, median {times[len(times) // 2]:4.0f} ms, last {times[-1]:4.0f} ms"
    )


def test_requests_above_the_limit_are_refused_and_the_others_served() -> None:
    print()
    for _ in range(ROUNDS):
        print_times("a bare ASGI app, for comparison", burst("attack.bare_server"))
        replies = burst("attack.fake_server", str(LIMIT), str(SECONDS))
        print_times("the plugin", replies)
        assert Counter(reply.status for reply in replies) == {200: LIMIT, 529: REQUESTS - LIMIT}
