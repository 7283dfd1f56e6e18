"""The requirements, and whether the numbers meet them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.growth import growths

if TYPE_CHECKING:
    from bench.parser_timings import Row
    from bench.servers import Comparison

SECONDS_OF_256_KB = 1.0
GROWTH_LIMIT = 2.3
# Of what vLLM's own route costs in the same run. Most of a request's way is vLLM's tokenizer in both.
TOKEN_LIMIT = 1.0
REQUEST_LIMIT = 1.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """One requirement, with what was found; `misses` names each row that does not meet it."""

    requirement: str
    found: str
    misses: Sequence[str]

    @property
    def holds(self) -> bool:
        return not self.misses

    def __str__(self) -> str:
        tail = f"missed by {', '.join(self.misses)}" if self.misses else self.found
        return f"{'holds ' if self.holds else 'MISSED'}  {self.requirement}: {tail}"


def of_parsers(rows: "Sequence[Row]") -> list[Verdict]:
    """Whether the plugin is right, fast, linear and never slower than vLLM's."""
    return [_right(rows), _fast(rows), _linear(rows), _never_slower(rows)]


def _right(rows: "Sequence[Row]") -> Verdict:
    wrong = [_place(row) for row in rows if not row.plugin.right]
    return Verdict("The plugin reads every call as it was written", f"all {len(rows)}", wrong)


def _fast(rows: "Sequence[Row]") -> Verdict:
    largest = [row for row in rows if row.kilobytes == max(other.kilobytes for other in rows)]
    size = largest[0].kilobytes
    limit = SECONDS_OF_256_KB * min(size / 256, 1)
    slow = [
        f"{row.call_format} ({row.plugin.seconds:.2f} s)" for row in largest if row.plugin.seconds >= limit
    ]
    slowest = max(largest, key=lambda row: row.plugin.seconds)
    found = f"{slowest.plugin.seconds:.2f} s at most ({slowest.call_format})"
    return Verdict(f"The plugin reads {size} KB in under {limit:.4g} s", found, slow)


def _linear(rows: "Sequence[Row]") -> Verdict:
    worst = {
        call_format: _worst_growth(rows, call_format)
        for call_format in dict.fromkeys(row.call_format for row in rows)
    }
    misses = [
        f"{call_format} ({growth:.2f})" for call_format, growth in worst.items() if growth >= GROWTH_LIMIT
    ]
    return Verdict(
        f"The plugin grows by less than {GROWTH_LIMIT} a doubling",
        f"{max(worst.values()):.2f} at most",
        misses,
    )


def _worst_growth(rows: "Sequence[Row]", call_format: str) -> float:
    own = [row for row in rows if row.call_format == call_format]
    found = growths([row.kilobytes for row in own], [row.plugin.seconds for row in own])
    return max((growth for growth in found if growth is not None), default=0.0)


def _never_slower(rows: "Sequence[Row]") -> Verdict:
    compared = [(row.ratio, row) for row in rows if row.ratio is not None]
    misses = [f"{_place(row)} ({ratio:.2f})" for ratio, row in compared if ratio < 1]
    least = min((ratio for ratio, _ in compared), default=0.0)
    found = f"{least:.1f} times faster at least, in {len(compared)} rows"
    return Verdict("The plugin is never slower than vLLM's", found, misses)


def _place(row: "Row") -> str:
    return f"{row.call_format} {row.kilobytes} KB"


def of_servers(rows: "Sequence[Comparison]") -> list[Verdict]:
    """Whether the plugin costs no more than vLLM's own routes."""
    streamed = [row for row in rows if row.streamed]
    others = [row for row in rows if not row.streamed]
    return [
        _cheap("A streamed token costs no more than vLLM's own", streamed, TOKEN_LIMIT),
        _cheap("A request's way to the engine costs a tenth more at most", others, REQUEST_LIMIT),
    ]


def _cheap(requirement: str, rows: "Sequence[Comparison]", limit: float) -> Verdict:
    misses = [f"{row.name} ({row.ratio:.2f})" for row in rows if row.ratio > limit]
    highest = max((row.ratio for row in rows), default=0.0)
    return Verdict(requirement, f"{highest:.2f} of it at most", misses)
