"""Types of the support list: an entry, its kind and its verdict."""

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

EntryRow = tuple[str, Verdict, str]
"""Name, verdict and note of an entry."""


@dataclass(frozen=True, slots=True)
class Support:
    """One element of the protocol and what this server does with it.

    Attributes:
        kind: What sort of element it is.
        name: Its name on the wire.
        verdict: What the server does with it.
        note: A remark for the table.
        sdk: False if clients send or read it although the official SDK has no type for it.
    """

    kind: Kind
    name: str
    verdict: Verdict
    note: str
    sdk: bool = True


def entries_of(
    kind: Kind, rows: Iterable[EntryRow], wire_only: Iterable[EntryRow] = ()
) -> tuple[Support, ...]:
    """Make the entries of one kind. Those of `wire_only` have no type in the SDK."""
    known = [Support(kind, *row) for row in rows]
    return (*known, *(Support(kind, *row, sdk=False) for row in wire_only))
