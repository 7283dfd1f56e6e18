"""The outcome of a check, and the exceptions by which a check ends early."""

from dataclasses import dataclass
from typing import Literal

Result = Literal["pass", "fail", "skip", "error"]


@dataclass(frozen=True)
class Outcome:
    """The result of a check and the reason for it, in one line.

    Attributes:
        result: `pass` and `fail` are verdicts on the server. `skip`: the check does not apply here or came to
            no verdict. `error`: the check itself raised an exception, which says nothing about the server.
        reason: One line for the report.
        traceback: The exception's traceback, for an `error` only.
    """

    result: Result
    reason: str
    traceback: str = ""


class MismatchError(Exception):
    """The server's response breaks the protocol; the text says how."""


class CannotTellError(Exception):
    """The model's output stopped too early to show whether the server is right."""


def passed(reason: str) -> Outcome:
    """Return the outcome of a check that holds."""
    return Outcome("pass", reason)


def skipped(reason: str) -> Outcome:
    """Return the outcome of a check that does not apply or cannot be decided."""
    return Outcome("skip", reason)


def expect(condition: object, reason: str) -> None:
    """End the check as failed, for this reason, unless the condition holds.

    Raises:
        MismatchError: The condition is false.
    """
    if not condition:
        raise MismatchError(reason)
