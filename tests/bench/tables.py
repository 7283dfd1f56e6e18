"""Tables as text for a terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True, slots=True)
class Table:
    """Cells, of which those of the first `names` columns are words and the others numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1


def as_text(table: Table) -> str:
    """The table with its columns aligned."""
    lines = [table.columns, *table.rows]
    widths = [max(map(len, cells)) for cells in zip_longest(*lines, fillvalue="")]
    return "\n".join(_aligned(line, widths, table.names) for line in lines)


def _aligned(cells: Sequence[str], widths: Sequence[int], names: int) -> str:
    padded = (
        cell.ljust(width) if place < names else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def as_markdown(table: Table) -> str:
    """The table in Markdown."""
    rules = ["---"] * table.names + ["---:"] * (len(table.columns) - table.names)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (table.columns, rules, *table.rows))
