"""`python -m team`: runs the simulation, prints its table, and fails if a key starved or something grew."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from soak.probe import PATH
from soak.report import write
from support.loopback import free_port, running
from team.developers import HOUR, Developer, Office
from team.report import BEGIN, END, Outcome
from vllm_messages_plugin.access.key_editing import with_key
from vllm_messages_plugin.access.keys import digest_of

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
REPLY_SECONDS = 5.0
"""How long one reply takes, in the simulated time."""
GREEDY_SHARE = 20
DEVELOPERS_PER_SLOT = 5
LIMITS = {"max_concurrent": 4}
WARM_UP_SECONDS = 5.0
SETTLE_SECONDS = 3.0


def simulate(minutes: float, developers: int) -> Outcome:
    """Run the simulation.

    Args:
        minutes: How long it may take; one simulated hour passes.
        developers: How many developers there are; one in GREEDY_SHARE is greedy.
    """
    team = [Developer(f"dev-{n:03}", greedy=n % GREEDY_SHARE == 0) for n in range(developers)]
    speed = HOUR / (minutes * 60)
    slots = max(developers // DEVELOPERS_PER_SLOT, 1)
    with _server(team, slots, REPLY_SECONDS / speed) as url:
        warm_up = [Developer(each.name, each.greedy) for each in team]
        asyncio.run(Office(url, speed, time.monotonic() + WARM_UP_SECONDS).work(warm_up))
        before = _held(url)
        asyncio.run(Office(url, speed, time.monotonic() + minutes * 60).work(team))
        after = _held(url)
    return Outcome(minutes, slots, team, before, after)


def _held(url: str) -> Mapping[str, int]:
    """What the server holds once its connections have been closed."""
    time.sleep(SETTLE_SECONDS)
    found: Mapping[str, int] = httpx.get(f"{url}{PATH}", trust_env=False, timeout=60).json()
    return found


@contextmanager
def _server(team: list[Developer], slots: int, seconds: float) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as home:
        text = ""
        for each in team:
            digest = digest_of(f"key-{each.name}").hex()
            text = with_key(text, {"name": each.name, "sha256": digest, **LIMITS})
        keys = Path(home, "keys.toml")
        keys.write_text(text, encoding="utf-8")
        port = free_port()
        command = [sys.executable, "-m", "team.serve", str(port), str(keys), str(slots), str(seconds)]
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        with (
            Path(home, "log").open("wb") as log,
            running(command, port, log, os.environ | {"PYTHONPATH": paths}),
        ):
            yield f"http://127.0.0.1:{port}"


def main() -> int:
    """Read the command line and simulate."""
    parser = argparse.ArgumentParser("team", description="Developers whose agents share one server.")
    parser.add_argument("--minutes", type=float, default=12, help="how long the simulated hour takes")
    parser.add_argument("--developers", type=int, default=200)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    asked = parser.parse_args()
    outcome = simulate(asked.minutes, asked.developers)
    print(outcome.table())
    if asked.write:
        write(outcome.table(), PAGE, BEGIN, END)
    for failure in outcome.failures():
        print(f"FAILED: {failure}", file=sys.stderr)
    return bool(outcome.failures())


if __name__ == "__main__":
    sys.exit(main())
