"""Counts the replies to fuzzed requests by status, and adds them to a file if FUZZ_TALLY names one."""

import atexit
import json
import os
from collections import Counter
from pathlib import Path

VARIABLE = "FUZZ_TALLY"
_statuses: Counter[str] = Counter()


def count(status: int) -> None:
    """Count one reply."""
    _statuses[str(status)] += 1


def read(path: Path) -> Counter[str]:
    """Return the counts in a tally file: one JSON object in each line, all added up."""
    total: Counter[str] = Counter()
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            total.update(json.loads(line))
    return total


def add(path: Path, statuses: Counter[str]) -> None:
    """Add a line of counts to a tally file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(statuses) + "\n")


def summary(total: Counter[str]) -> str:
    """Describe counts in one line."""
    server_errors = sum(number for status, number in total.items() if status.startswith("5"))
    statuses = ", ".join(f"{status}: {number:,}" for status, number in sorted(total.items()))
    return f"{sum(total.values()):,} fuzzed requests ({statuses}), {server_errors} of them 5xx"


@atexit.register
def flush() -> None:
    """Add what was counted since the last time to the file that the environment names."""
    if _statuses and (name := os.environ.get(VARIABLE)):
        add(Path(name), _statuses)
        _statuses.clear()
