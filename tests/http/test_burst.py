"""A real HTTP server with a fake engine gets 1,000 requests at once; `pytest -s` prints the times."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from attack.attacks import Attack, ask
from attack.run import send_to

TESTS = Path(__file__).parents[1]
REQUESTS = 1_000
LIMIT = 32
SECONDS = 10  # longer than the burst takes to arrive, so that no request ends meanwhile


@pytest.fixture
def port() -> Iterator[int]:
    """The server has a process of its own, so that the clients take no time from its event loop."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-m", "attack.fake_server", str(LIMIT), str(SECONDS)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()


def test_requests_above_the_limit_are_refused_and_the_others_served(port: int) -> None:
    replies = asyncio.run(send_to("127.0.0.1", port, Attack("a burst", ask, copies=REQUESTS)))
    assert Counter(reply.status for reply in replies) == {200: LIMIT, 529: REQUESTS - LIMIT}
    times = sorted(reply.milliseconds for reply in replies if reply.status == 529)
    print(f"refused after {times[len(times) // 2]:.0f} ms in the median and {times[-1]:.0f} ms at most")
