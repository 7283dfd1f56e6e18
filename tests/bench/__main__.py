"""`python -m bench`: runs the parts that are asked for, prints their tables and the verdicts."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import page, verdicts
from bench.tables import as_text
from formats.samples import SAMPLE_WRITERS

PARTS = ("parsers", "server", "frontend", "requests", "latency", "pace", "memory", "store")
SIZES = (4, 16, 64, 256)
QUICK_SIZES = (4, 16)
CAP_SECONDS = 20.0
QUICK_CAP_SECONDS = 1.0
ROUNDS = 7
QUICK_ROUNDS = 3
FRONTEND_ROUNDS = 5


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("bench", description="What the plugin costs, beside vLLM's own code.")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds, a short cap")
    parser.add_argument(
        "--formats",
        type=_words,
        default=sorted(SAMPLE_WRITERS),
        help="tool-call formats, separated by commas",
    )
    parser.add_argument("--sizes", type=_numbers, help="KB of the arguments, separated by commas")
    parser.add_argument("--cap", type=float, help="seconds that vLLM's parser may take for one reply")
    parser.add_argument("--rounds", type=int, help="rounds of the server's rows")
    parser.add_argument("--markdown", type=Path, help="write the tables to this page as well")
    asked = parser.parse_args(given)
    if unknown := set(asked.formats) - set(SAMPLE_WRITERS):
        parser.error(
            f"no such format: {', '.join(sorted(unknown))}; there are {', '.join(sorted(SAMPLE_WRITERS))}"
        )
    asked.sizes = asked.sizes or (QUICK_SIZES if asked.quick else SIZES)
    asked.cap = asked.cap or (QUICK_CAP_SECONDS if asked.quick else CAP_SECONDS)
    asked.frontend_rounds = asked.rounds or FRONTEND_ROUNDS
    asked.rounds = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    return asked


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def parsers_parts(asked: argparse.Namespace) -> list[page.Part]:
    """The parsers of tool calls, this plugin's and vLLM's."""
    from bench import parser_table
    from bench.parser_timings import measure

    rows = []
    for call_format in asked.formats:
        rows += measure(call_format, asked.sizes, asked.cap)
        print(f"  {call_format}", file=sys.stderr, flush=True)
    table = parser_table.table(rows)
    return [page.Part("parsers", table, parser_table.NOTES, verdicts.of_parsers(rows))]


def server_parts(asked: argparse.Namespace) -> list[page.Part]:
    """Two servers, with and without the plugin."""
    from bench import server_table
    from bench.servers import measure

    rows = measure(asked.rounds, print_progress)
    return [page.Part("server", server_table.table(rows), server_table.NOTES, verdicts.of_servers(rows))]


def frontend_parts(asked: argparse.Namespace) -> list[page.Part]:
    """The front end alone: streamed tokens."""
    from bench.frontend import measure, table

    sizes = measure.QUICK if asked.quick else measure.Sizes(asked.frontend_rounds)
    with TemporaryDirectory(prefix="bench-logs-") as logs:
        tokens = measure.measure_tokens(sizes, Path(logs), print_progress)
    if asked.markdown is not None:
        picture = asked.markdown.parent / "images" / "frontend.svg"
        picture.write_text(table.plot(tokens), encoding="utf-8")
    return [page.Part("frontend", table.token_table(tokens), table.NOTES, table.token_verdicts(tokens))]


def request_parts(asked: argparse.Namespace) -> list[page.Part]:
    """The front end alone: requests."""
    from bench.frontend import measure, table

    sizes = measure.QUICK if asked.quick else measure.Sizes(asked.frontend_rounds)
    with TemporaryDirectory(prefix="bench-logs-") as logs:
        rows = measure.measure_requests(sizes, Path(logs), print_progress)
    found = table.request_verdicts(rows)
    return [page.Part("requests", table.request_table(rows), table.REQUEST_NOTES, found)]


def latency_parts(asked: argparse.Namespace) -> list[page.Part]:
    """How long clients wait for the front end."""
    from bench.frontend import latency

    sizes = latency.QUICK if asked.quick else latency.Sizes(asked.frontend_rounds)
    with TemporaryDirectory(prefix="bench-logs-") as logs:
        rows = latency.measure(sizes, Path(logs), print_progress)
    return [page.Part("latency", latency.table(rows), latency.NOTES, latency.verdicts(rows))]


def pace_parts(asked: argparse.Namespace) -> list[page.Part]:
    """Whether the front end keeps pace with an engine."""
    from bench.frontend import pace

    with TemporaryDirectory(prefix="bench-logs-") as logs:
        rows = pace.measure(pace.QUICK if asked.quick else pace.Sizes(), Path(logs), print_progress)
    return [page.Part("pace", pace.table(rows), pace.NOTES, pace.verdicts(rows))]


def memory_parts(asked: argparse.Namespace) -> list[page.Part]:
    """What streams, conversations and requests add to the memory of the front end."""
    from bench.frontend import memory

    with TemporaryDirectory(prefix="bench-logs-") as logs:
        rows = memory.measure(memory.QUICK if asked.quick else memory.Counts(), Path(logs), print_progress)
    return [page.Part("memory", memory.table(rows), memory.NOTES, memory.verdicts(rows))]


def store_parts(asked: argparse.Namespace) -> list[page.Part]:
    """Batches beside direct calls, files, and a store that nobody uses."""
    from bench import store

    rows = store.measure(store.QUICK if asked.quick else store.Counts(), print_progress)
    return [page.Part("store", store.table(rows), store.NOTES, store.verdicts(rows))]


def print_progress(line: str) -> None:
    """Say how far the bench is, beside the tables."""
    print(f"  {line}", file=sys.stderr, flush=True)


def main(given: Sequence[str]) -> int:
    """Run the bench; 1 if a requirement does not hold."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers as well
    asked = arguments(given)
    made = {
        "parsers": parsers_parts,
        "server": server_parts,
        "frontend": frontend_parts,
        "requests": request_parts,
        "latency": latency_parts,
        "pace": pace_parts,
        "memory": memory_parts,
        "store": store_parts,
    }
    parts: list[page.Part] = []
    for name in PARTS:
        for part in made[name](asked) if asked.only in (None, name) else ():
            parts.append(part)
            print(f"\n{page.TITLES[part.name]}\n\n{as_text(part.table)}\n", flush=True)
    found = [verdict for part in parts for verdict in part.verdicts]
    print("\n".join(map(str, found)))
    if asked.markdown is not None:
        before = asked.markdown.read_text(encoding="utf-8") if asked.markdown.exists() else ""
        asked.markdown.write_text(page.updated(before, parts), encoding="utf-8")
    return 0 if all(verdict.holds for verdict in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
