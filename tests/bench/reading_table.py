"""The rows of `readings` as a table and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from bench.readings import Row, Timing, growths

COLUMNS = (
    f"{'shape':20}{'vLLM parser':16}{'KB':>5}{'ours ms':>10}{'growth':>8}{'vLLM ms':>11}{'growth':>8}{'ratio':>9}"
)
TITLES = {
    "streamed": "Tool-call arguments, streamed token by token (CPU ms of one reply; growth per doubling)",
    "whole": "The same replies, read whole",
}


def heading(way: str) -> str:
    """The lines above a table."""
    return f"\n{TITLES[way]}\n{COLUMNS}"


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each row of one shape."""
    sizes = [row.kilobytes for row in rows]
    ours = growths(sizes, [row.ours.seconds for row in rows])
    theirs = growths(sizes, [_whole_seconds(row.theirs) for row in rows])
    for row, our_growth, their_growth in zip(rows, ours, theirs, strict=True):
        name = f"{row.shape:20}{row.parser or '-':16}" if row is rows[0] else " " * 36
        cells = f"{row.ours.seconds * 1000:>10.2f}{_growth(our_growth)}{_theirs(row, their_growth)}"
        yield f"{name}{row.kilobytes:>5}{cells}{_remarks(row)}".rstrip()


def _whole_seconds(timing: Timing | None) -> float | None:
    return None if timing is None or timing.cut else timing.seconds


def _growth(growth: float | None) -> str:
    return f"{growth:>8.2f}" if growth else " " * 8


def _theirs(row: Row, growth: float | None) -> str:
    if row.theirs is None or row.ratio is None:
        return ""
    more = ">" if row.theirs.cut else ""
    milliseconds = f"{more}{row.theirs.seconds * 1000:.2f}"
    return f"{milliseconds:>11}{_growth(growth)}{f'{more}{row.ratio:.1f}x':>9}"


def _remarks(row: Row) -> str:
    found = [] if row.ours.right else ["OURS IS WRONG"]
    if row.why is not None:
        found.append(row.why)
    elif row.theirs is not None and row.theirs.cut:
        share = f" with {row.theirs.read:.0%} read" if row.way == "streamed" else ""
        found.append(f"vLLM's cut off{share}")
    elif row.theirs is not None and not row.theirs.right:
        found.append("vLLM's loses or breaks the call")
    return f"  {'; '.join(found)}" if found else ""


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with their growths and ratios."""
    found: list[dict[str, Any]] = []
    for _, group in groupby(rows, lambda row: (row.way, row.shape)):
        together = list(group)
        sizes = [row.kilobytes for row in together]
        ours = growths(sizes, [row.ours.seconds for row in together])
        theirs = growths(sizes, [_whole_seconds(row.theirs) for row in together])
        for row, our_growth, their_growth in zip(together, ours, theirs, strict=True):
            grown = {"our_growth": our_growth, "their_growth": their_growth}
            found.append(asdict(row) | {"ratio": row.ratio} | grown)
    return found


def verdict(rows: Sequence[Row]) -> str:
    """Where ours is slower than vLLM's, if anywhere, and how far it leads where it is not."""
    ratios = [(row.ratio, row) for row in rows if row.ratio is not None]
    slower = [row for ratio, row in ratios if ratio < 1]
    if slower:
        named = ", ".join(f"{row.shape} {row.kilobytes} KB {row.way}" for row in slower)
        return f"Ours is slower in {len(slower)} of {len(ratios)} rows: {named}"
    least = min((ratio for ratio, _ in ratios), default=None)
    return f"Ours is faster in all {len(ratios)} rows" + (f", {least:.1f} times at least" if least else "")
