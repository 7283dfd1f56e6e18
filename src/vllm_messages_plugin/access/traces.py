"""OpenTelemetry spans of requests, by the semantic conventions for generative AI.

A span covers one request to /v1/messages, from its admission to the end of its reply. Its parent is the
span that the client names in `traceparent`, and the spans of vLLM's engine are its children. Its attributes
are numbers, ids and fixed words, and no content.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vllm_messages_plugin.access.request_record import RequestRecord

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

SCOPE: Final = "vllm_messages_plugin"
TRACED_ROUTES: Final = frozenset({"/v1/messages"})
OPERATION: Final = "chat"
PROVIDER: Final = "vllm"
CLIENT_ERROR: Final = 400
SERVER_ERROR: Final = 500


class Traces:
    """Writes the spans of one process."""

    def __init__(self, tracer: "Tracer | None" = None) -> None:
        """Connect to a tracer.

        Args:
            tracer: Makes the spans; None for one of the process's own tracer provider, which vLLM sets up if
                it was started with `--otlp-traces-endpoint`.

        Raises:
            ImportError: OpenTelemetry's API is missing.
        """
        from opentelemetry import trace
        from opentelemetry.trace.propagation import tracecontext

        self._api = trace
        self._tracer = tracer or trace.get_tracer(SCOPE)
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def begin(self, record: RequestRecord) -> None:
        """Begin the span of a request; the record's trace headers name it from here on."""
        if record.route not in TRACED_ROUTES:
            return
        span = self._tracer.start_span(
            OPERATION,
            context=self._propagator.extract(record.trace_headers),
            kind=self._api.SpanKind.SERVER,
        )
        headers: dict[str, str] = {}
        self._propagator.inject(headers, self._api.set_span_in_context(span))
        record.span, record.trace_headers = span, headers

    def end(self, record: RequestRecord) -> None:
        """End the span of a request that has ended."""
        if record.span is None:
            return
        if record.model:
            record.span.update_name(f"{OPERATION} {record.model}")
        record.span.set_attributes(attributes(record))
        broken_off = record.status < CLIENT_ERROR and record.error  # by an `error` event within the stream
        if record.status >= SERVER_ERROR or broken_off:
            record.span.set_status(self._api.StatusCode.ERROR, record.error or None)
        record.span.end()
        record.span = None


def attributes(record: RequestRecord) -> Mapping[str, Any]:
    """Return the attributes of a request's span; those without a value are left out."""
    first = record.first_event_seconds
    values: dict[str, Any] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.model,
        "gen_ai.request.max_tokens": record.asked_tokens,
        "gen_ai.conversation.id": record.session,
        "gen_ai.response.finish_reasons": [record.stop_reason] if record.stop_reason else [],
        "gen_ai.usage.input_tokens": record.input_tokens + record.cached_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.latency.time_to_first_token": first,
        "http.request.method": "POST",
        "http.route": record.route,
        "http.response.status_code": record.status,
        "error.type": record.error,
        "vllm_messages.request_id": record.request_id,
        "vllm_messages.key": record.caller.label,
        "vllm_messages.thinking_tokens": record.thinking_tokens,
        "vllm_messages.tool_calls": record.tool_calls,
        "vllm_messages.repairs": record.repair_notes,
        "vllm_messages.raw_calls": record.raw_calls,
    }
    return {name: value for name, value in values.items() if value not in (None, "", [])}
