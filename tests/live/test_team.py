"""A real server with named keys under vLLM's priority policy: keys, queue, metrics, log, traces."""

import gzip
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import anthropic
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.loopback import serving
from support.server import Server, start_server
from vllm_messages_plugin.access.key_editing import with_key
from vllm_messages_plugin.access.keys import digest_of
from vllm_messages_plugin.testing import tiny

STREAM_INTERVAL = 8
KEYS = {"alice": {"requests_per_minute": 1}, "bob": {}, "night": {"priority": 50}}


class TraceCollector(BaseHTTPRequestHandler):
    """An OpenTelemetry collector that keeps the spans it gets."""

    spans: ClassVar[list[Span]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The tiny model with three keys, one request at a time, under --scheduling-policy priority."""
    home = tmp_path_factory.mktemp("team")
    text = ""
    for name, fields in KEYS.items():
        text = with_key(text, {"name": name, "sha256": digest_of(f"key-{name}").hex(), **fields})
    (home / "keys.toml").write_text(text)
    options = ("--scheduling-policy", "priority", "--max-num-seqs", "1", "--no-async-scheduling")
    options += ("--stream-interval", str(STREAM_INTERVAL))
    env = {
        "VLLM_MESSAGES_KEYS": str(home / "keys.toml"),
        "VLLM_MESSAGES_MAX_QUEUED_REQUESTS": "50",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with serving(TraceCollector) as collector:
        options += ("--otlp-traces-endpoint", f"{collector}/v1/traces")
        with start_server(tiny.model_directory(), *options, env=env, home=home) as running:
            yield running


def client(server: Server, name: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=f"key-{name}", max_retries=0)


def ask(server: Server, name: str, words: int = 2, **headers: str) -> float:
    """Get a reply of so many words; return when it was complete."""
    body: dict[str, Any] = {"vllm_xargs": {"script": "word " * words, "script_delay_ms": 20}}
    with client(server, name) as sdk:
        sdk.messages.create(
            model="tiny", max_tokens=words * 8, messages=[{"role": "user", "content": "Go."}],
            extra_body=body,
            extra_headers={header.replace("_", "-"): value for header, value in headers.items()},
        )  # fmt: skip
    return time.monotonic()


def test_one_key_gets_a_rate_limit_error_and_the_other_runs(team_server: Server) -> None:
    ask(team_server, "alice")
    with pytest.raises(anthropic.RateLimitError) as refused:
        ask(team_server, "alice")
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 61
    ask(team_server, "bob")
    page = httpx.get(f"{team_server.url}/metrics", trust_env=False).text
    for name in ("alice", "bob"):
        assert f'vllm_messages_tokens_total{{key="{name}",kind="output",model="tiny"}}' in page
    assert 'vllm_messages_refused_total{key="alice",reason="rate"} 1.0' in page
    assert '"key":"bob"' in team_server.log_text()
    assert "key-bob" not in team_server.log_text()


def test_vllms_own_routes_need_a_key_too(team_server: Server) -> None:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 1}
    url = f"{team_server.url}/v1/completions"
    assert httpx.post(url, json=body, trust_env=False).status_code == 401
    headers = {"authorization": "Bearer key-bob"}
    assert httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60).status_code == 200


def wait_until(server: Server, gauge: str, number: int) -> None:
    """Wait until a gauge of vLLM's has a value; it is renewed with every step of the engine."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        page = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text
        if f"{number}.0" in (line.split()[-1] for line in page.splitlines() if line.startswith(f"{gauge}{{")):
            return
        time.sleep(0.05)
    raise AssertionError(f"{gauge} was never {number}")


def test_an_interactive_request_overtakes_subagents_and_a_background_key(team_server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, team_server, "bob", 400)
        wait_until(team_server, "vllm:num_requests_running", 1)
        background = [pool.submit(ask, team_server, "night", 10) for _ in range(2)]
        agents: list[Future[float]] = [
            pool.submit(ask, team_server, "bob", 10, x_claude_code_agent_id="a") for _ in range(2)
        ]
        wait_until(team_server, "vllm:num_requests_waiting", 4)
        main = pool.submit(ask, team_server, "bob", 10)
        side = pool.submit(ask, team_server, "bob", 2, x_claude_code_session_id="s")
        wait_until(team_server, "vllm:num_requests_waiting", 6)
        order = [
            side.result(),
            main.result(),
            min(map(Future.result, agents)),
            min(map(Future.result, background)),
        ]
        assert first.result() < order[0]
    assert order == sorted(order)


def test_tool_calls_are_counted_by_what_became_of_them(team_server: Server) -> None:
    tool = {
        "name": "get_time",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    call = '<tool_call>\n{"name": "get_time", "arguments": {"city": "Oslo"}}\n</tool_call>'
    for script in (call, call.replace("get_time", "Get-Time"), call.replace("get_time", "unknown, {")):
        with client(team_server, "bob") as sdk:
            sdk.messages.create(
                model="tiny", max_tokens=400, messages=[{"role": "user", "content": "Go."}], tools=[tool],
                extra_body={"vllm_xargs": {"script": script}},
            )  # fmt: skip
    page = httpx.get(f"{team_server.url}/metrics", trust_env=False).text
    for outcome in ("parsed", "repaired", "raw"):
        assert f'vllm_messages_tool_calls_total{{model="tiny",outcome="{outcome}"}} 1.0' in page


def test_a_trace_has_the_span_of_the_request_and_the_engines_below_it(team_server: Server) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    ask(team_server, "bob", traceparent=f"00-{trace}-{parent}-01")
    spans: dict[str, Span] = {}
    deadline = time.monotonic() + 60
    while len(spans) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        spans = {span.name: span for span in TraceCollector.spans if span.trace_id.hex() == trace}
    assert spans["chat tiny"].parent_span_id.hex() == parent
    assert spans["llm_request"].parent_span_id == spans["chat tiny"].span_id
    attributes = {each.key: each.value for each in spans["chat tiny"].attributes}
    assert attributes["gen_ai.request.model"].string_value == "tiny"
    assert attributes["gen_ai.usage.output_tokens"].int_value >= 2
    assert attributes["vllm_messages.key"].string_value == "bob"


def test_events_come_as_seldom_as_the_operator_says(team_server: Server) -> None:
    with client(team_server, "bob") as sdk:
        events = list(
            sdk.messages.create(
                model="tiny", max_tokens=400, messages=[{"role": "user", "content": "Go."}], stream=True,
                extra_body={"vllm_xargs": {"script": "word " * 40}},
            )
        )  # fmt: skip
    texts = [event.delta.text for event in events if event.type == "content_block_delta"]
    tokens = next(event.usage.output_tokens for event in events if event.type == "message_delta")
    assert "".join(texts).strip() == ("word " * 40).strip()
    assert len(texts) <= tokens / STREAM_INTERVAL + 2
