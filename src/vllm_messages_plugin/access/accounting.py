"""Counts requests against their key's limits, and writes metrics and the request log when they have ended."""

import json
import logging
from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.access.keys import ApiKey
from vllm_messages_plugin.access.limits import MISSING, Concurrency, RateLimiter
from vllm_messages_plugin.access.metrics import Metrics
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.access.traces import Traces
from vllm_messages_plugin.wire.errors import MessagesError

request_log = logging.getLogger("vllm.messages.requests")

LOGGED_ROUTES: Final = frozenset({"/v1/messages"})


class Accounting:
    """What happens before a request is read and after its reply has ended."""

    def __init__(
        self,
        limiter: RateLimiter | None = None,
        metrics: Metrics | None = None,
        traces: Traces | None = None,
    ) -> None:
        """Join the parts.

        Args:
            limiter: Counts requests and tokens; None where the `limits` package is missing.
            metrics: Counts for /metrics; None where prometheus_client is missing.
            traces: Writes OpenTelemetry spans; None where vLLM writes none.
        """
        self._limiter = limiter
        self._metrics = metrics
        self._traces = traces
        self._concurrency = Concurrency()
        self._messages: dict[str, RequestRecord] = {}  # of clients, while they run, by request id

    @property
    def clients_wait(self) -> bool:
        """Whether a client whose request was read waits for the first content of its message."""
        return any(record.model and record.first_event_seconds is None for record in self._messages.values())

    async def begin(self, record: RequestRecord, *, limited: bool) -> Mapping[str, str]:
        """Hold a request against the limits of its key; after it returned, `end` must follow.

        Args:
            record: The request.
            limited: Whether the limits of its key apply.

        Returns:
            The response headers that tell the client its limits.

        Raises:
            MessagesError: 429, a limit is reached; 403, the server can't count.
        """
        key = record.caller.key
        if key is None or not limited:
            return {}
        try:
            self._concurrency.begin(key)
        except MessagesError:
            record.refusal = "concurrency"
            raise
        try:
            return await self._count(key)
        except BaseException:
            record.refusal = "rate"
            self._concurrency.end(key)
            raise

    async def begin_item(self, record: RequestRecord) -> None:
        """Begin an item of a batch; after it returned, `end_item` must follow.

        An item waits while the tokens of its key are used up. The limits on requests don't apply to it: a
        server decides how many items run, and they must not keep the key's other requests out.

        Raises:
            MessagesError: 429, the tokens are used up; 403, the server can't count.
        """
        if record.caller.key is not None:
            await self._count(record.caller.key, cost=0)
        self.start(record)

    async def end_item(self, record: RequestRecord) -> None:
        """Count and charge an item of a batch."""
        await self.end(record, limited=False)
        if record.caller.key is not None and self._limiter is not None:
            await self._limiter.charge(record.caller.key, record.charged_tokens)

    async def _count(self, key: ApiKey, cost: int = 1) -> Mapping[str, str]:
        if self._limiter is not None:
            return await self._limiter.count_request(key, cost)
        if key.requests_per_minute is not None or key.tokens_per_minute is not None:
            raise MessagesError(
                "permission_error", f"The server can't hold your key to its limits: {MISSING}"
            )
        return {}

    def start(self, record: RequestRecord) -> None:
        """Note that an admitted request runs; `end` must follow."""
        if record.route in LOGGED_ROUTES:
            self._messages[record.request_id] = record
        if self._metrics is not None:
            self._metrics.begin(record)
        if self._traces is not None:
            self._traces.begin(record)

    async def end(self, record: RequestRecord, *, limited: bool) -> None:
        """Count and charge a request that ran."""
        self._messages.pop(record.request_id, None)
        key = record.caller.key
        if self._metrics is not None:
            self._metrics.end(record)
        if self._traces is not None:
            self._traces.end(record)
        self.write(record)
        if key is not None and limited:
            self._concurrency.end(key)
            if self._limiter is not None:
                await self._limiter.charge(key, record.charged_tokens)

    def write(self, record: RequestRecord) -> None:
        """Count a request in the metrics and log it."""
        if self._metrics is not None:
            self._metrics.count(record)
        if record.route in LOGGED_ROUTES and request_log.isEnabledFor(logging.INFO):
            request_log.info("%s", json.dumps(log_fields(record), separators=(",", ":")))


def log_fields(record: RequestRecord) -> dict[str, object]:
    """Return the fields of a request's log line: numbers, ids and fixed words, and no content."""
    first = record.first_event_seconds
    return {
        "request_id": record.request_id,
        "key": record.caller.label,
        "model": record.model,
        "session": record.session,
        "stream": record.stream,
        "status": record.status,
        "stop_reason": record.stop_reason,
        "error": record.error or record.refusal,
        "max_tokens": record.asked_tokens,
        "clamped": record.clamped,
        "input_tokens": record.input_tokens,
        "cached_tokens": record.cached_tokens,
        "output_tokens": record.output_tokens,
        "thinking_tokens": record.thinking_tokens,
        "tool_calls": record.tool_calls,
        "repairs": record.repair_notes,
        "raw_calls": record.raw_calls,
        "server_tools": dict(record.server_tools),
        "first_event_ms": None if first is None else round(first * 1000),
        "total_ms": round(record.seconds * 1000),
    }
