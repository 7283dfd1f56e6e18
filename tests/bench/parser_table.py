"""The rows of `parser_timings` as a table: one line for each tool-call format."""

from collections.abc import Sequence
from itertools import groupby

from bench.growth import growths
from bench.parser_timings import Row, Timing
from bench.tables import Table

NOTES = """\
Each line is one tool-call format: one `Write` whose argument is so many KB of source code, handed to \
the parser token by token. The times are CPU milliseconds of one reply, the fastest of some runs taken in \
turn; growth is the largest one per doubling of the size. "> 20 s" was cut off there, and larger sizes are \
not run: they take at least their share. "≈" is extrapolated from the two sizes before and not run, "!" \
marks a reply of which vLLM's parser did not give the arguments back as they were written, and "-" a format \
that vLLM can't read here. \
The ratio is the least one over the sizes."""


def table(rows: Sequence[Row]) -> Table:
    """One line for each format."""
    sizes = list(dict.fromkeys(row.kilobytes for row in rows))
    columns = [
        *("format", "vLLM's parser"),
        *(f"plugin {size} KB" for size in sizes),
        "growth",
        *(f"vLLM {size} KB" for size in sizes),
        *("growth", "ratio"),
    ]
    lines = [_line(list(group)) for _, group in groupby(rows, lambda row: row.call_format)]
    return Table(columns, lines, names=2)


def _line(rows: list[Row]) -> list[str]:
    return [
        rows[0].call_format,
        rows[0].parser or "-",
        *(_plugin(row.plugin) for row in rows),
        _largest_growth(rows, [row.plugin.seconds for row in rows]),
        *(_vllm(row.vllm) for row in rows),
        _largest_growth(rows, [_measured(row.vllm) for row in rows]),
        _least_ratio(rows),
    ]


def _plugin(timing: Timing) -> str:
    return f"{milliseconds(timing.seconds)}{'' if timing.right else ' !'}"


def _vllm(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    if timing.state == "extrapolated":
        return f"≈ {timing.seconds:.3g} s"
    if timing.state == "cut":
        return f"> {timing.seconds:.2g} s"
    return f"{milliseconds(timing.seconds)}{'' if timing.right else ' !'}"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three significant digits."""
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
