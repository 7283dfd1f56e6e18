"""The verdict of a soak run, and its table in docs/reliability.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soak.load import Counts

BEGIN, END = "<!-- soak:begin -->", "<!-- soak:end -->"
MORE_TASKS = 0
MORE_DESCRIPTORS = 2  # vLLM's own logging and metrics may open one
MORE_RSS_KIB = 32 * 1024
Held = Mapping[str, int]


@dataclass(frozen=True)
class Segment:
    """The life of one server: what it held after the warm-up and at the end, both times idle."""

    before: Held
    after: Held

    def leaks(self) -> list[str]:
        """Return what grew beyond its limit."""
        limits = {"tasks": MORE_TASKS, "descriptors": MORE_DESCRIPTORS, "rss_kib": MORE_RSS_KIB}
        return [
            f"{name}: {self.before[name]} -> {self.after[name]}"
            for name, limit in limits.items()
            if self.after[name] - self.before[name] > limit
        ]


@dataclass(frozen=True)
class Outcome:
    """A whole run."""

    minutes: float
    streams: int
    counts: Counts
    segments: Sequence[Segment]
    still_open: int
    """Requests that had not ended when a stopped server was gone."""

    def failures(self) -> list[str]:
        """Return every violation and every leak."""
        leaks = [leak for segment in self.segments for leak in segment.leaks()]
        hung = [f"{self.still_open} requests did not end with the server"] if self.still_open else []
        return [f"{number} x {what}" for what, number in self.counts.violations.items()] + leaks + hung

    def table(self) -> str:
        """Return the table as Markdown."""
        done = self.counts.done
        rows = [
            ("length, streams at once", f"{self.minutes:g} minutes, {self.streams}"),
            *((name.replace("_", " "), f"{number:,}") for name, number in sorted(done.items())),
            ("requests in all", f"{sum(done.values()):,}"),
            ("protocol violations", str(sum(self.counts.violations.values()))),
            ("longest standstill of the clients' process", f"{self.counts.standstill:.1f} s"),
            ("restarts under load", str(len(self.segments) - 1)),
            ("requests ended by a restart, none left open", f"{sum(self.counts.broken.values())}"),
            *self._held_rows(),
        ]
        lines = [f"| {name} | {value} |" for name, value in rows]
        return "\n".join(["| soak run | |", "|---|---|", *lines])

    def _held_rows(self) -> list[tuple[str, str]]:
        names = {
            "rss_kib": ("resident memory, MiB", 1024),
            "tasks": ("asyncio tasks", 1),
            "descriptors": ("file descriptors", 1),
            "threads": ("threads", 1),
        }
        return [
            (
                f"{title}, idle after warm-up -> at the end",
                "; ".join(
                    f"{segment.before[name] // unit} -> {segment.after[name] // unit}"
                    for segment in self.segments
                ),
            )
            for name, (title, unit) in names.items()
        ]


def write(table: str, page: Path, begin: str = BEGIN, end: str = END) -> None:
    """Put the table between its markers in a page.

    Raises:
        ValueError: The page has no markers.
    """
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page} has no {begin} ... {end}")
    page.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")
