"""What one request used and how it ended, for limits, metrics, the request log and traces. No content."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.access.keys import ANYBODY, Caller
from vllm_messages_plugin.wire.events import StreamEvent

BATCH_ITEM = "batch_item"
"""The route of a record of an item of a batch."""
CUT_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})


@dataclass(slots=True)
class RequestRecord:
    """The record of one request, filled in while it runs.

    Attributes:
        request_id: Its id.
        route: Its path, one of a fixed set.
        caller: Who sent it.
        model: The served model that replies; "" if the request did not get that far.
        session: The client's session id; "" without one.
        stream: Whether the reply is streamed.
        status: The HTTP status.
        stop_reason: Why the reply ended; "" if it did not end by itself.
        error: The type of an error; "" without one.
        refusal: What refused the request before it was read; "" if nothing did.
        asked_tokens: Its `max_tokens`, from when generation begins.
        clamped: Whether `max_tokens` was lowered to what the window has left.
        input_tokens: Tokens of the prompt that were processed anew.
        cached_tokens: Tokens of the prompt that the prefix cache held.
        output_tokens: Tokens generated, thinking included.
        thinking_tokens: How many of those were thinking.
        first_event_seconds: Time to the first content of the reply; None without any.
        tool_calls: Calls of client tools.
        repaired_calls: Calls whose text had to be repaired.
        cut_calls: Calls that a limit cut off.
        raw_calls: Calls whose markup could not be read, so that it stayed in the reply as text.
        server_tools: Calls of server tools, by tool.
        trace_headers: The `traceparent` and `tracestate` of the span that the engine's spans belong to.
        span: The OpenTelemetry span of the request; None without one.
    """

    request_id: str
    route: str
    caller: Caller = ANYBODY
    model: str = ""
    session: str = ""
    stream: bool = False
    status: int = 0
    stop_reason: str = ""
    error: str = ""
    refusal: str = ""
    asked_tokens: int = 0
    clamped: bool = False
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    first_event_seconds: float | None = None
    tool_calls: int = 0
    repaired_calls: int = 0
    cut_calls: int = 0
    raw_calls: int = 0
    server_tools: Counter[str] = field(default_factory=Counter)
    repair_notes: int = 0
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    span: Any = None
    clock: Callable[[], float] = time.monotonic
    started: float = 0.0
    _last_block: str = ""
    _generated: int = 0
    _repaired: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def has_client(self) -> bool:
        """Whether a client waits for the reply; for an item of a batch none does."""
        return self.route != BATCH_ITEM

    @property
    def seconds(self) -> float:
        """How long the request has run."""
        return self.clock() - self.started

    @property
    def charged_tokens(self) -> int:
        """The tokens that count for the key's limit."""
        return self.input_tokens + self.output_tokens

    def observe(self, events: Iterable[StreamEvent]) -> None:
        """Record what events say about the reply."""
        for event in events:
            if event["type"] == "content_block_delta":
                self.output_tokens += 1  # until the real number comes
            elif event["type"] == "content_block_start":
                self._begin_block(event["content_block"])
            elif event["type"] == "message_start":
                self._set_usage(event["message"]["usage"])
            elif event["type"] == "message_delta":
                self.stop_reason = event["delta"]["stop_reason"]
                self._set_usage(event["usage"])
                if self._last_block == "tool_use" and self.stop_reason in CUT_REASONS:
                    self.cut_calls += 1
            elif event["type"] == "error":
                self.error = str(event["error"]["type"])

    def add_repair(self, note: str) -> None:
        """Record a repair of a call; the note begins with the call's number."""
        self.repair_notes += 1
        self._repaired.add(note.partition(":")[0])
        self.repaired_calls = len(self._repaired)

    def add_raw_call(self) -> None:
        """Record markup of a call that stayed in the reply as text."""
        self.raw_calls += 1

    def add_tokens(self, tokens: int) -> None:
        """Record tokens that the engine generated: all there is of a reply whose client disconnected."""
        self._generated += tokens
        if not self.stop_reason:
            self.output_tokens = max(self.output_tokens, self._generated)

    def _begin_block(self, block: Mapping[str, Any]) -> None:
        if self.first_event_seconds is None:
            self.first_event_seconds = self.seconds
        self._last_block = str(block["type"])
        if self._last_block == "tool_use":
            self.tool_calls += 1
        elif self._last_block in ("server_tool_use", "mcp_tool_use"):
            self.server_tools[str(block["name"])] += 1

    def _set_usage(self, usage: Mapping[str, Any]) -> None:
        rounds = usage.get("iterations") or [usage]  # they count a compaction too, as `usage` itself may not
        self.input_tokens = sum(each["input_tokens"] + each["cache_creation_input_tokens"] for each in rounds)
        self.cached_tokens = sum(each["cache_read_input_tokens"] for each in rounds)
        self.output_tokens = sum(each["output_tokens"] for each in rounds)
        self.thinking_tokens = (usage["output_tokens_details"] or {}).get("thinking_tokens", 0)
