"""Metrics of the Messages routes, in the registry that vLLM's /metrics shows.

With several API processes prometheus_client keeps the values in the files of PROMETHEUS_MULTIPROC_DIR, which
vLLM sets, and the page shows the sum over all processes. No label is a client's choice: models are the served
names, keys are those of the keys file, and sessions are no label at all.
"""

from typing import TYPE_CHECKING, Final

from vllm_messages_plugin import __version__
from vllm_messages_plugin.access.request_record import RequestRecord

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PREFIX: Final = "vllm_messages"
FIRST_EVENT_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
REQUEST_BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
OTHER_TOOL: Final = "other"
SERVER_TOOLS: Final = frozenset(
    {
        "web_search",
        "web_fetch",
        "tool_search_tool_regex",
        "tool_search_tool_bm25",
        "code_execution",
        "bash_code_execution",
    }
)


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        """Register the metrics.

        Args:
            registry: Where to; prometheus_client's default one if None.

        Raises:
            ImportError: prometheus_client is missing.
            ValueError: The registry has these metrics already.
        """
        from prometheus_client import REGISTRY, Counter, Gauge, Histogram

        home = registry or REGISTRY

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=home)

        self._requests = counter(
            "requests", "Requests that ended.", "route", "status", "stop_reason", "key", "model"
        )
        self._tokens = counter(
            "tokens",
            "Tokens by kind: input (processed anew), cached (found in the prefix cache), output (generated, "
            "with thinking), thinking.",
            "kind", "key", "model",
        )  # fmt: skip
        self._calls = counter(
            "tool_calls", "Calls of client tools, by outcome: parsed, repaired, cut, raw.", "outcome", "model"
        )
        self._clamped = counter("clamped", "Requests whose max_tokens was lowered to the window.", "model")
        self._refused = counter("refused", "Requests refused before they were read.", "reason", "key")
        self._server_tools = counter("server_tool_calls", "Calls of tools that the server runs.", "tool")
        self._first_event = Histogram(
            f"{PREFIX}_first_event_seconds", "Time to the first content of a reply.", ("model",),
            buckets=FIRST_EVENT_BUCKETS, registry=home,
        )  # fmt: skip
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds", "Time from a request to the end of its reply.", ("model",),
            buckets=REQUEST_BUCKETS, registry=home,
        )  # fmt: skip
        self._server = Gauge(
            f"{PREFIX}_server_info", "The server, always 1; tools: native, or prompted as text.",
            ("version", "tools"), multiprocess_mode="max", registry=home,
        )  # fmt: skip
        self._running = Gauge(
            f"{PREFIX}_running", "Requests that run.", ("key",), multiprocess_mode="livesum", registry=home
        )

    def describe_server(self, *, native_tools: bool) -> None:
        """Show what is served.

        Args:
            native_tools: Whether the chat template lists tools; else they are prompted as text.
        """
        self._server.labels(__version__, "native" if native_tools else "prompted").set(1)

    def begin(self, record: RequestRecord) -> None:
        """Count a request that begins."""
        self._running.labels(record.caller.label).inc()

    def end(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        self._running.labels(record.caller.label).dec()

    def count(self, record: RequestRecord) -> None:
        """Count what a request has used."""
        key, model = record.caller.label, record.model
        self._requests.labels(record.route, str(record.status), record.stop_reason, key, model).inc()
        if record.refusal:
            self._refused.labels(record.refusal, key).inc()
        if not model:
            return
        for kind, tokens in (
            ("input", record.input_tokens),
            ("cached", record.cached_tokens),
            ("output", record.output_tokens),
            ("thinking", record.thinking_tokens),
        ):
            self._tokens.labels(kind, key, model).inc(tokens)
        self._count_calls(record)
        if record.clamped:
            self._clamped.labels(model).inc()
        if record.first_event_seconds is not None and record.has_client:
            self._first_event.labels(model).observe(record.first_event_seconds)
            self._seconds.labels(model).observe(record.seconds)

    def _count_calls(self, record: RequestRecord) -> None:
        outcomes = {
            "repaired": record.repaired_calls,
            "cut": record.cut_calls,
            "raw": record.raw_calls,
            "parsed": max(record.tool_calls - record.repaired_calls - record.cut_calls, 0),
        }
        for outcome, calls in outcomes.items():
            if calls:
                self._calls.labels(outcome, record.model).inc(calls)
        for tool, calls in record.server_tools.items():
            self._server_tools.labels(tool if tool in SERVER_TOOLS else OTHER_TOOL).inc(calls)
