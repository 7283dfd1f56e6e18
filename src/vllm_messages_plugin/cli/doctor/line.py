"""One line of doctor's report. Every part of the diagnosis makes these."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Line:
    """What was looked at, how it is, what was found and what to do about it."""

    name: str
    status: Status
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Line:
    """All is well."""
    return Line(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Line:
    """It works, but not as most people want it."""
    return Line(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Line:
    """It does not work."""
    return Line(name, "fail", found, advice)
