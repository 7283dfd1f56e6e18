"""`python -m bench`: runs the parts that are asked for and prints their tables. See the package."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARTS = ("parsers", "servers")
SIZES = (4, 16, 64, 256)
CAP_SECONDS = 5.0


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    from formats.samples import SPOKEN

    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part instead of both")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    parser.add_argument("--shapes", type=_words, default=sorted(SPOKEN), help="shapes, parted by commas")
    parser.add_argument("--sizes", type=_numbers, default=SIZES, help="KB of the arguments")
    parser.add_argument("--cap", type=float, default=CAP_SECONDS, help="seconds for one reading of vLLM's")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the servers' rows")
    return parser.parse_args(given)


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def parsers(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """The readers of tool calls, ours and vLLM's."""
    import gc

    import logging

    logging.disable(logging.ERROR)  # parsers that stumble over a call tell so for every token
    from bench.parsers import Bench
    from bench.reading_table import as_json, heading, lines, verdict
    from bench.readings import Row, rows

    gc.freeze()  # what vLLM's import made is not searched for garbage over and over
    found: list[Row] = []
    benches = [Bench(shape) for shape in asked.shapes]
    for way in ("streamed", "whole"):
        print(heading(way))
        for bench in benches:
            shown = list(rows(bench, way, asked.sizes, asked.cap))
            print("\n".join(lines(shown)), flush=True)
            found += shown
    print(f"\n{verdict(found)}", flush=True)
    return as_json(found)


def main(given: Sequence[str]) -> int:
    """Run the bench; 0 whatever the numbers."""
    asked = arguments(given)
    found: dict[str, Any] = {}
    if asked.only != "servers":
        found["parsers"] = parsers(asked)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
