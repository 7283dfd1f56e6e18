"""The verdict of a simulation, and its table in docs/fleet.md."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from team.developers import Developer

BEGIN, END = "<!-- team:begin -->", "<!-- team:end -->"
FAIREST = 1.0
FAIR = 0.8
MORE_TASKS = 2
MORE_DESCRIPTORS = 2
MORE_RSS_KIB = 32 * 1024


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all values are equal, 1/n if one of n has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else FAIREST


@dataclass(frozen=True)
class Outcome:
    """A whole simulation.

    Attributes:
        minutes: How long it took.
        running: How many requests the engine takes at once.
        developers: What each developer got.
        before: What the idle server held after the warm-up.
        after: What the idle server held at the end.
    """

    minutes: float
    running: int
    developers: Sequence[Developer]
    before: Mapping[str, int]
    after: Mapping[str, int]

    def failures(self) -> list[str]:
        """Return what must not have happened: a key that starved, unfairness, failed requests, growth."""
        found = [f"{each.name} got no reply" for each in self.developers if not each.waits]
        for greedy in (False, True):
            group = self._group(greedy=greedy)
            if group and (index := jain([len(each.waits) for each in group])) < FAIR:
                found.append(f"fairness among {'greedy' if greedy else 'other'} developers: {index:.2f}")
        if (slow := self._median(greedy=False)) > (other := self._median(greedy=True)):
            found.append(f"developers at work wait longer than greedy agents: {slow:.2f} s, {other:.2f} s")
        found += [f"{each.name}: {dict(each.failed)}" for each in self.developers if each.failed]
        limits = {"tasks": MORE_TASKS, "descriptors": MORE_DESCRIPTORS, "rss_kib": MORE_RSS_KIB}
        return found + [
            f"{name} grew: {self.before[name]} -> {self.after[name]}"
            for name, limit in limits.items()
            if self.after[name] - self.before[name] > limit
        ]

    def table(self) -> str:
        """Return the table as Markdown."""
        groups = [self._group(greedy=False), self._group(greedy=True)]
        rows = [
            ("developers", *(f"{len(group)}" for group in groups)),
            ("requests served", *(f"{sum(len(each.waits) for each in group):,}" for group in groups)),
            ("of one developer, fewest to most", *map(_range, groups)),
            ("Jain's index of fairness", *(f"{jain([len(each.waits) for each in g]):.3f}" for g in groups)),
            ("wait for the first event, median", *(f"{_quantile(group, 50):.2f} s" for group in groups)),
            ("wait for the first event, 99 %", *(f"{_quantile(group, 99):.2f} s" for group in groups)),
            ("longest time without a reply", *map(_longest_gap, groups)),
            ("429, limit of the key", *(f"{sum(each.refused[429] for each in group):,}" for group in groups)),
            ("529, queue full", *(f"{sum(each.refused[529] for each in group):,}" for group in groups)),
            ("failed", *(f"{sum(each.failed.total() for each in group)}" for group in groups)),
        ]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        held = "; ".join(
            f"{title} {self.before[name] // unit} -> {self.after[name] // unit}"
            for title, name, unit in (
                ("resident memory, MiB:", "rss_kib", 1024),
                ("asyncio tasks:", "tasks", 1),
                ("file descriptors:", "descriptors", 1),
            )
        )
        head = f"| {self.minutes:g} minutes for an hour, {self.running} requests at once | at work | greedy |"
        return "\n".join([head, "|---|---:|---:|", *lines, "", f"The idle server, before -> after: {held}."])

    def _group(self, *, greedy: bool) -> list[Developer]:
        return [each for each in self.developers if each.greedy is greedy]

    def _median(self, *, greedy: bool) -> float:
        return _quantile(self._group(greedy=greedy), 50)


def _quantile(group: Sequence[Developer], percent: int) -> float:
    waits = [wait for each in group for wait in each.waits]
    return statistics.quantiles(waits, n=100)[percent - 1] if len(waits) > 1 else 0.0


def _range(group: Sequence[Developer]) -> str:
    served = [len(each.waits) for each in group]
    return f"{min(served)} to {max(served)}" if served else "-"


def _longest_gap(group: Sequence[Developer]) -> str:
    return f"{max((each.longest_gap for each in group), default=0.0):.1f} s"
