"""Runs the property tests repeatedly, each time with other examples, until time is up or one fails.

    PYTHONPATH=tests python -m support.fuzz --minutes 60 [pytest arguments]

The suite itself is deterministic in CI: its property tests draw the same examples every time. This command
explores. A failure is printed with its smallest example, which becomes an explicit `@example` of that test,
so that every later run replays it (CONTRIBUTING.md).
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Sequence

SELECTION = ("-m", "hypothesis and not live and not smollm2 and not clients")


def command(seed: int, further: Sequence[str]) -> list[str]:
    """Return the command of one round."""
    options = ("-q", "-x", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "-p", "no:randomly")
    return [sys.executable, "-m", "pytest", *options, *SELECTION, *further]


def main(arguments: Sequence[str]) -> int:
    """Run rounds until the time is over; return the exit status of the first round that fails, else 0."""
    parser = argparse.ArgumentParser(prog="python -m support.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    given, further = parser.parse_known_args(arguments)
    end = time.monotonic() + given.minutes * 60
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        seed = random.SystemRandom().randrange(2**32)
        print(f"==> round {rounds + 1}, seed {seed}", flush=True)
        if status := subprocess.run(command(seed, further)).returncode:
            print("==> failed: add the example above to its test as an explicit @example", flush=True)
            return status
        rounds += 1
    print(f"==> {rounds} rounds, no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
