"""The span of a request through the routes: what the engine gets, and what the span has at the end."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.traces import Traces
from vllm_messages_plugin.stream.deltas import EngineText, PromptProcessed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

HELLO = (PromptProcessed(50, 40), EngineText("A secret word"), ReplyFinished("stop", 7))
ASK: Any = {"model": "fake", "max_tokens": 10, "messages": [{"role": "user", "content": "A private thing"}]}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Engine(FakeEngine):
    """A fake engine that keeps the headers of its last request."""

    headers: Mapping[str, str] = {}

    async def generate(self, *arguments: Any, headers: Mapping[str, str], **fields: Any) -> Any:
        self.headers = headers
        return await super().generate(*arguments, headers=headers, **fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_span_covers_the_request_and_is_the_parent_of_the_engines(stream: bool) -> None:
    exporter, provider, engine = InMemorySpanExporter(), TracerProvider(), Engine(HELLO)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = app_with(engine, accounting=Accounting(traces=Traces(provider.get_tracer("test"))))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        headers = {"traceparent": PARENT, "x-session-id": "s-1"}
        await http.post("/v1/messages", json=ASK | {"stream": stream}, headers=headers)
    (span,) = exporter.get_finished_spans()
    assert engine.headers["traceparent"].split("-")[1:3] == [
        PARENT.split("-")[1], format(span.context.span_id, "016x"),
    ]  # fmt: skip
    assert engine.headers["x-session-id"] == "s-1"
    assert span.name == "chat fake"
    assert span.attributes["gen_ai.usage.input_tokens"] == 50
    assert span.attributes["gen_ai.usage.output_tokens"] == 7
    assert span.attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert span.attributes["http.response.status_code"] == 200
    assert "private" not in span.to_json()
    assert "secret" not in span.to_json()


async def test_without_traces_the_clients_own_span_reaches_the_engine() -> None:
    engine = Engine(HELLO)
    transport = httpx.ASGITransport(app_with(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        await http.post("/v1/messages", json=ASK, headers={"traceparent": PARENT})
    assert engine.headers["traceparent"] == PARENT
