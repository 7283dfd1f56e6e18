"""What a check found out. Used by every check and by the report."""

from dataclasses import dataclass
from typing import Literal

Result = Literal["pass", "fail", "skip"]


@dataclass(frozen=True)
class Outcome:
    """A check's result and the reason for it, in one line."""

    result: Result
    reason: str


class MismatchError(Exception):
    """The server's answer is not what the protocol says."""


class CannotTellError(Exception):
    """The model did not get far enough to show what the server does."""


def passed(reason: str) -> Outcome:
    """The check holds."""
    return Outcome("pass", reason)


def skipped(reason: str) -> Outcome:
    """The check could not be made, and why."""
    return Outcome("skip", reason)


def expect(condition: object, reason: str) -> None:
    """Fail the check for this reason unless the condition holds."""
    if not condition:
        raise MismatchError(reason)
