"""The rows of `servers` as a table."""

from collections.abc import Sequence

from bench.servers import STREAMS, Comparison
from bench.tables import Table

NOTES = f"""\
Two servers of the same tiny model on the same flags, one with the plugin and one with \
`VLLM_MESSAGES_ENABLED=0`, are asked by turns. The times are CPU of the API server's process: for each \
token of {STREAMS} streams at once (the requests' own cost is in it); from a request's arrival to its \
being handed to the engine; and for a whole `count_tokens`. An agent's first turn is made up: 50 KB, \
twelve tools, about 12,500 tokens. Each number is the median of the rounds; the ratio is ours by vLLM's, \
the median of the rounds with the lowest and the highest."""
SCALES = {"µs": 1e6, "ms": 1e3}


def table(rows: Sequence[Comparison]) -> Table:
    """One line for each cost."""
    columns = ["CPU of the API server", "unit", "plugin", "vLLM alone", "ratio", "lowest", "highest"]
    return Table(columns, [_line(row) for row in rows], names=2)


def _line(row: Comparison) -> list[str]:
    scale = SCALES[row.unit]
    times = (f"{seconds * scale:.3g}" for seconds in (row.ours, row.theirs))
    ratios = (f"{ratio:.2f}" for ratio in (row.ratio, min(row.ratios), max(row.ratios)))
    return [row.name, row.unit, *times, *ratios]
