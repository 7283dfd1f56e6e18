"""What an entry of the support list is, and the words of its verdicts.

The entries stand in `support_requests` and `support_replies`; `support` joins and prints them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["handled", "accepted", "stand-in", "refused", "never sent"]

HANDLED: Final = "handled"
ACCEPTED: Final = "accepted"
STAND_IN: Final = "stand-in"
REFUSED: Final = "refused"
NEVER_SENT: Final = "never sent"

Kind = Literal[
    "content block in",
    "block field",
    "source",
    "tool type",
    "tool field",
    "tool choice",
    "thinking type",
    "request field",
    "context edit",
    "beta header",
    "endpoint",
    "content block out",
    "reply block field",
    "stream event",
    "delta",
    "stop reason",
    "response field",
    "usage field",
    "count_tokens field",
    "error type",
]

Row = tuple[str, Verdict, str]
"""An entry as it is written down: name, verdict, note."""


@dataclass(frozen=True, slots=True)
class Support:
    """One thing the protocol knows and what becomes of it here.

    `sdk` is false for what clients send or read though the official SDK has no type for it.
    """

    kind: Kind
    name: str
    verdict: Verdict
    note: str
    sdk: bool = True


def table(kind: Kind, rows: Iterable[Row], wire_only: Iterable[Row] = ()) -> tuple[Support, ...]:
    """The entries of one kind; `wire_only` are those without a type in the SDK."""
    known = [Support(kind, *row) for row in rows]
    return (*known, *(Support(kind, *row, sdk=False) for row in wire_only))
