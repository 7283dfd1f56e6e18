"""One line of doctor's report."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Line:
    """What was examined, its status, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Line:
    """Return a line that needs no action."""
    return Line(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Line:
    """Return a line about something that works, but not as most people want it."""
    return Line(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Line:
    """Return a line about something that does not work."""
    return Line(name, "fail", found, advice)
