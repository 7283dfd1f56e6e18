"""Fuzzes until time is up or something fails, each time with other examples.

    PYTHONPATH=tests python -m fuzz --minutes 60 [--schemathesis PROGRAM] [pytest arguments]

Three parts take turns: fuzzed requests and texts, schemathesis, and all other property tests. The suite
itself is deterministic in CI; this command explores. A failure is printed with its smallest example, which
becomes an explicit `@example` of that test, so that every later run replays it (CONTRIBUTING.md).
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

from fuzz import openapi, tally
from fuzz.examples import EXPLORING

SELECTION = ("-m", "hypothesis and not live and not smollm2 and not clients")
FUZZERS = ("tests/fuzz", "tests/request_table")
OTHERS = ("tests", *(f"--ignore={folder}" for folder in FUZZERS))
SCHEMATHESIS_EXAMPLES = 500

Part = Callable[[int], int]
"""Takes a seed, returns an exit status."""


def property_tests(*paths: str) -> Part:
    """Return the part that runs the property tests below these paths."""

    def part(seed: int) -> int:
        options = ("-q", "-x", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "-p", "no:randomly")
        command = [sys.executable, "-m", "pytest", *options, *SELECTION, *paths]
        return subprocess.run(command, env={**os.environ, EXPLORING: "1"}).returncode

    return part


def schemathesis(program: Path) -> Part:
    """Return the part that runs schemathesis."""

    def part(seed: int) -> int:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            return openapi.run(program, seed, SCHEMATHESIS_EXAMPLES, Path(folder))

    return part


def explore(parts: Sequence[Part], seconds: float) -> int:
    """Run each part once, then on in turn until time is up; return the first exit status that is not 0."""
    end = time.monotonic() + seconds
    for number, part in enumerate(cycle(parts)):
        if number >= len(parts) and time.monotonic() >= end:
            return 0
        seed = random.SystemRandom().randrange(2**32)
        print(f"==> part {number % len(parts) + 1} of {len(parts)}, seed {seed}", flush=True)
        if status := part(seed):
            print("==> failed: add the example above to its test as an explicit @example", flush=True)
            return status
    return 0


def main(arguments: Sequence[str]) -> int:
    """Explore, and print how many requests were sent."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--schemathesis", type=Path, help="the program, in an environment of its own")
    given, paths = parser.parse_known_args(arguments)
    parts = [property_tests(*paths)] if paths else [property_tests(*FUZZERS), property_tests(*OTHERS)]
    if given.schemathesis and not paths:
        parts.insert(1, schemathesis(given.schemathesis.absolute()))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        counts = Path(folder) / "tally"
        os.environ[tally.VARIABLE] = str(counts)
        status = explore(parts, given.minutes * 60)
        tally.flush()
        print(f"==> {tally.summary(tally.read(counts))}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
