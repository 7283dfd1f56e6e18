"""The rows of `readings` as a table: one line for each shape."""

from collections.abc import Sequence
from itertools import groupby

from bench.growth import growths
from bench.readings import Row, Timing
from bench.tables import Table

NOTES = """\
Each line is one shape of tool call: one `Write` whose argument is so many KB of source code, handed to \
the reader token by token. The times are CPU milliseconds of one reply, the fastest of some runs taken in \
turn; growth is the largest one per doubling of the size. "> 20 s" was cut off there, and larger sizes are \
not run: they take at least their share. "≈" is extrapolated from the two sizes before and not run, "!" \
marks a reply of which vLLM's parser did not give the arguments back as they were written, and "-" a shape \
that vLLM can't read here. \
The ratio is the least one over the sizes."""


def table(rows: Sequence[Row]) -> Table:
    """One line for each shape."""
    sizes = list(dict.fromkeys(row.kilobytes for row in rows))
    columns = [
        *("shape", "vLLM's parser"),
        *(f"ours {size} KB" for size in sizes),
        "growth",
        *(f"vLLM {size} KB" for size in sizes),
        *("growth", "ratio"),
    ]
    lines = [_line(list(group)) for _, group in groupby(rows, lambda row: row.shape)]
    return Table(columns, lines, names=2)


def _line(rows: list[Row]) -> list[str]:
    return [
        rows[0].shape,
        rows[0].parser or "-",
        *(_ours(row.ours) for row in rows),
        _largest_growth(rows, [row.ours.seconds for row in rows]),
        *(_theirs(row.theirs) for row in rows),
        _largest_growth(rows, [_measured(row.theirs) for row in rows]),
        _least_ratio(rows),
    ]


def _ours(timing: Timing) -> str:
    return f"{milliseconds(timing.seconds)}{'' if timing.right else ' !'}"


def _theirs(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    if timing.state == "extrapolated":
        return f"≈ {timing.seconds:.3g} s"
    if timing.state == "cut":
        return f"> {timing.seconds:.2g} s"
    return f"{milliseconds(timing.seconds)}{'' if timing.right else ' !'}"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three digits that say something."""
    found = seconds * 1000
    return f"{found:.1f}" if found < 100 else f"{found:.0f}"


def _measured(timing: Timing | None) -> float | None:
    return timing.seconds if timing is not None and timing.state == "whole" else None


def _largest_growth(rows: Sequence[Row], seconds: Sequence[float | None]) -> str:
    found = [growth for growth in growths([row.kilobytes for row in rows], seconds) if growth is not None]
    return f"{max(found):.2f}" if found else ""


def _least_ratio(rows: Sequence[Row]) -> str:
    found = [row.ratio for row in rows if row.ratio is not None]
    return f"{min(found):.1f}" if found else ""
