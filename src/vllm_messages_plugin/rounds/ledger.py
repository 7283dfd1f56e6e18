"""The bookkeeping of one reply that uses server tools.

A reply is a sequence of rounds. In each round the model generates until it stops. If it called server
tools, they run, their results are appended to the prompt, and the next round begins; the client sees one
message. `RoundLedger` decides what happens with each call and after each round. It holds the limits that
keep a model from searching for ever: the `max_uses` of a tool, a number of rounds, a time, and a call that
is repeated word for word, which gets the earlier result instead of a second search, unless its tool may
answer otherwise the second time.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_ROUNDS: Final = 10
MAX_SECONDS: Final = 120.0

Next = Literal["continue", "return", "pause"]


@dataclass(frozen=True, slots=True)
class ServerCall:
    """A complete call of a server tool.

    Attributes:
        id: The id of its block, `srvtoolu_...` or `mcptoolu_...`.
        tool: The name of the tool in the prompt, such as `web_search`.
        input: The arguments, or None where the model wrote no JSON object.
    """

    id: str
    tool: str
    input: Mapping[str, Any] | None

    @property
    def key(self) -> str:
        """The same for two calls of one tool with equal arguments."""
        return json.dumps([self.tool, self.input], sort_keys=True, ensure_ascii=False)


def parse_arguments(text: str) -> Mapping[str, Any] | None:
    """The arguments of a call as an object; None where the model wrote no JSON object."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class ServerToolResult:
    """What came of a call.

    Attributes:
        block: The result block as the client reads it, without its `tool_use_id`.
        text: The same for the model.
        counted: The key of `usage.server_tool_use` that this use adds to; None for an uncounted one.
    """

    block: Mapping[str, Any]
    text: str
    counted: str | None = None

    def block_for(self, call: ServerCall) -> dict[str, Any]:
        """The result block of a call."""
        return {"type": self.block["type"], "tool_use_id": call.id, **self.block}


@dataclass(frozen=True, slots=True)
class Run:
    """The call is to be run."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The call repeats the one before it and gets the same result."""

    result: ServerToolResult


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call is not run; the model and the client read this error code."""

    error_code: str


Decision = Run | Repeat | Refuse


@dataclass(slots=True)
class RoundLedger:
    """Counts the rounds and calls of one reply.

    Attributes:
        max_uses: How often each tool may run in this reply; a tool without an entry has no limit.
        max_rounds: After so many rounds the reply pauses.
        max_seconds: After so long it pauses, too.
        repeating: The tools whose calls run again when they are repeated.
    """

    max_uses: Mapping[str, int] = field(default_factory=dict)
    max_rounds: int = MAX_ROUNDS
    max_seconds: float = MAX_SECONDS
    repeating: Set[str] = frozenset()
    rounds: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    _uses: dict[str, int] = field(default_factory=dict)
    _last: tuple[str, ServerToolResult] | None = None

    def decide(self, call: ServerCall) -> Decision:
        """What is to happen with a call."""
        if call.input is None:
            return Refuse("invalid_tool_input")
        if self._last is not None and self._last[0] == call.key and call.tool not in self.repeating:
            return Repeat(self._last[1])
        limit = self.max_uses.get(call.tool)
        if limit is not None and self._uses.get(call.tool, 0) >= limit:
            return Refuse("max_uses_exceeded")
        self._uses[call.tool] = self._uses.get(call.tool, 0) + 1
        return Run()

    def record(self, call: ServerCall, result: ServerToolResult) -> None:
        """Remember the result of a call that was run."""
        self._last = (call.key, result)
        if result.counted is not None:
            self.usage[result.counted] = self.usage.get(result.counted, 0) + 1

    def end_round(self, *, server_calls: int, client_calls: int, seconds: float) -> Next:
        """What follows a round that the model ended by itself.

        Args:
            server_calls: How many server tools it called.
            client_calls: How many tools of the client it called.
            seconds: How long the reply has taken so far.

        Returns:
            "continue": another round; "return": the message ends here; "pause": it ends with `pause_turn`.
        """
        self.rounds += 1
        if server_calls == 0 or client_calls > 0:
            return "return"
        if self.rounds >= self.max_rounds or seconds >= self.max_seconds:
            return "pause"
        return "continue"
