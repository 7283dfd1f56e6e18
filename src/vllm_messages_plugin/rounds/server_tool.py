"""A tool that the server runs in one request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of a request that the server runs.

    Attributes:
        name: Its name on the wire and in the prompt.
        definition: What the model is shown: `name`, `description` and `input_schema`, as in `tools`.
        run: Runs a call. A failure is a result as well; it never raises one.
        refused: The result of a call that is not run, by its error code.
        max_uses: How often it may run in one reply; None without a limit.
    """

    name: str
    definition: Mapping[str, Any]
    run: Callable[[ServerCall], Awaitable[ServerToolResult]]
    refused: Callable[[str], ServerToolResult]
    max_uses: int | None = None
