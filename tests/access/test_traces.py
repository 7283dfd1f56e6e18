"""Spans of requests: their parents, their attributes, and the headers that the engine's spans follow."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.access.traces import Traces

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Exported:
    """A tracer whose spans are kept."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Traces(provider.get_tracer("test"))

    def span_of(self, record: RequestRecord) -> ReadableSpan:
        """The span of a record that begins and ends now."""
        self.traces.begin(record)
        self.traces.end(record)
        (span,) = self._exporter.get_finished_spans()
        return span


def record(route: str = "/v1/messages", **fields: Any) -> RequestRecord:
    return RequestRecord("req_1", route, **({"status": 200} | fields))


def test_a_span_follows_the_span_that_the_client_names() -> None:
    span = Exported().span_of(record(trace_headers={"traceparent": PARENT}))
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == "b7ad6b7169203331"
    assert format(span.context.trace_id, "032x") == "0af7651916cd43dd8448eb211c80319c"
    assert span.kind is SpanKind.SERVER


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}])
def test_without_a_usable_parent_a_span_begins_a_trace(headers: dict[str, str]) -> None:
    assert Exported().span_of(record(trace_headers=headers)).parent is None


def test_the_engines_spans_follow_the_requests_own() -> None:
    exported, asked = Exported(), record(trace_headers={"traceparent": PARENT, "tracestate": "a=b"})
    span = exported.span_of(asked)
    trace, own = format(span.context.trace_id, "032x"), format(span.context.span_id, "016x")
    assert asked.trace_headers == {"traceparent": f"00-{trace}-{own}-01", "tracestate": "a=b"}


def test_the_attributes_are_those_of_the_conventions() -> None:
    asked = record(
        model="tiny", asked_tokens=100, input_tokens=3, cached_tokens=40, output_tokens=7,
        stop_reason="end_turn", session="s-1", first_event_seconds=0.25,
    )  # fmt: skip
    span = Exported().span_of(asked)
    assert span.name == "chat tiny"
    assert span.status.status_code is StatusCode.UNSET
    assert {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.conversation.id": "s-1",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 43,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.latency.time_to_first_token": 0.25,
    }
    assert span.attributes["vllm_messages.request_id"] == "req_1"
    assert span.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": 400, "error": "invalid_request_error"}, StatusCode.UNSET),
        ({"status": 500, "error": "api_error"}, StatusCode.ERROR),
        ({"status": 200, "error": "api_error"}, StatusCode.ERROR),
    ],
    ids=["the client's error", "the server's error", "an error within a stream"],
)
def test_only_errors_of_the_server_fail_a_span(fields: dict[str, Any], status: StatusCode) -> None:
    span = Exported().span_of(record(**fields))
    assert span.status.status_code is status
    assert span.attributes["error.type"] == fields["error"]


def test_other_routes_have_no_span_and_keep_their_headers() -> None:
    exported, counted = Exported(), record("/v1/messages/count_tokens", trace_headers={"traceparent": PARENT})
    with pytest.raises(ValueError, match="not enough values"):
        exported.span_of(counted)
    assert counted.trace_headers == {"traceparent": PARENT}
