"""doctor names the fault of six deliberately wrong servers, over HTTP, from their metrics."""

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from conformance.fake_anthropic import METRICS, Fake, listening
from vllm_messages_plugin.access.keys import ApiKey, Caller
from vllm_messages_plugin.access.metrics import Metrics
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.report import diagnose

WINDOW = 131_072
ENGINE = """\
vllm:cache_config_info{block_size="16",enable_prefix_caching="True",num_gpu_blocks="20000"} 1.0
vllm:prefix_cache_queries_total{engine="0"} 600000.0
vllm:prefix_cache_hits_total{engine="0"} 550000.0
vllm:kv_cache_usage_perc{engine="0"} 0.4
vllm:num_preemptions_total{engine="0"} 0.0
vllm:num_requests_running{engine="0"} 3.0
vllm:num_requests_waiting{engine="0"} 0.0
vllm:request_queue_time_seconds_sum{engine="0"} 1.0
vllm:request_queue_time_seconds_count{engine="0"} 100.0
"""


def record(stop_reason: str = "tool_use", status: int = 200, **fields: object) -> RequestRecord:
    alice = Caller("alice", ApiKey(name="alice", sha256="0" * 64))
    return RequestRecord(
        "req_1", "/v1/messages", alice, model="tiny", status=status, stop_reason=stop_reason, tool_calls=1,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


HEALTHY = [record() for _ in range(90)]


def page(records: list[RequestRecord], engine: str = ENGINE) -> str:
    """The page of a server that has served these requests."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for each in records:
        metrics.count(each)
    return METRICS + engine + generate_latest(registry).decode()


def faults(tmp_path: Path, metrics: str, client_window: int = WINDOW) -> dict[str, Line]:
    """What doctor finds wrong with a server, and with the settings of its client."""
    fake = Fake(window=WINDOW)
    fake.metrics = metrics
    with listening(fake) as url:
        home = tmp_path / ".claude"
        home.mkdir(exist_ok=True)
        env = {
            "ANTHROPIC_BASE_URL": url, "ANTHROPIC_MODEL": "tiny", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "tiny",
            "CLAUDE_CODE_SUBAGENT_MODEL": "tiny", "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(client_window),
        }  # fmt: skip
        (home / "settings.json").write_text(json.dumps({"env": env}))
        parts = diagnose(url, "", "", 10.0, {"CLAUDE_CONFIG_DIR": str(home)}, tmp_path)
    lines = [*parts["Server"], *parts["Claude Code"]]
    # The stub is no vLLM with this plugin, and Claude Code need not be installed here.
    return {
        line.name: line
        for line in lines
        if line.status != "ok" and line.name not in ("/v1/messages", "claude")
    }


def changed(**values: str) -> str:
    """The engine's metrics, with other values for those whose names contain a keyword."""
    lines = [line.rpartition(" ") for line in ENGINE.splitlines()]
    return "".join(
        f"{name} {next((new for part, new in values.items() if part in name), value)}\n"
        for name, _, value in lines
    )


def test_a_healthy_server_has_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, page(HEALTHY)) == {}


WRONG: list[tuple[str, str, str, str]] = [
    (
        "small cache",
        page(HEALTHY, changed(hits="90000", preemptions="12")),
        "prefix cache",
        "KV cache is too small",
    ),
    (
        "spread sessions",
        page(HEALTHY, changed(hits="90000")),
        "prefix cache",
        "spreads a session over replicas",
    ),
    ("queueing", page(HEALTHY, changed(time_seconds_sum="900", waiting="40")), "queue", "add replicas"),
    (
        "clamped replies",
        page([*HEALTHY, *(record("model_context_window_exceeded", clamped=True) for _ in range(10))]),
        "clamped replies",
        "--max-model-len",
    ),
    (
        "untidy model",
        page([*HEALTHY, *(record(repaired_calls=1) for _ in range(30))]),
        "tool calls",
        "repaired",
    ),
    (
        "wrong format",
        page([*HEALTHY, *(record(raw_calls=1) for _ in range(30))]),
        "unread tool calls",
        "`vllm-messages flags MODEL`",
    ),
]


@pytest.mark.parametrize(
    ("metrics", "name", "advice"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_the_fault_of_a_wrong_server_is_named_with_its_remedy(
    tmp_path: Path, metrics: str, name: str, advice: str
) -> None:
    found = faults(tmp_path, metrics)
    assert name in found
    assert set(found) <= {name, "KV cache"}
    assert advice in found[name].advice


def test_a_window_that_is_wrong_in_the_clients_settings_is_named(tmp_path: Path) -> None:
    refused = [record("", 400, error="invalid_request_error") for _ in range(20)]
    found = faults(tmp_path, page([*HEALTHY, *refused]), client_window=1_000_000)
    assert found["Claude Code's window"].status == "fail"
    assert "too long" in found["Claude Code's window"].advice
    assert "larger window" in found["invalid requests"].advice


def test_full_queues_and_limited_keys_are_named(tmp_path: Path) -> None:
    refused = [
        record("", 529, refusal="queue"),
        record("", 529, refusal="queue"),
        record("", 429, refusal="rate"),
    ]
    found = faults(tmp_path, page([*HEALTHY, *refused * 2]))
    assert set(found) == {"refused requests", "limited keys"}
    assert found["limited keys"].found == "alice 2 times"
