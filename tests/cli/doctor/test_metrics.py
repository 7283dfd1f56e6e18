"""What doctor says about a server from its metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.metrics import Metrics, diagnose_metrics

HEALTHY = """\
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",enable_prefix_caching="True",num_gpu_blocks="20000"} 1.0
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 600000.0
vllm:prefix_cache_queries_total{engine="1",model_name="m"} 400000.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 500000.0
vllm:prefix_cache_hits_total{engine="1",model_name="m"} 400000.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.12
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.25
vllm:num_preemptions_total{engine="0",model_name="m"} 0.0
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="m"} 10.0
vllm:request_queue_time_seconds_count{engine="0",model_name="m"} 100.0
"""


def diagnosed(text: str, window: int | None = 131_072) -> dict[str, Line]:
    return {line.name: line for line in diagnose_metrics(text, window)}


def test_a_healthy_server_needs_no_action() -> None:
    lines = diagnosed(HEALTHY)
    assert {line.status for line in lines.values()} == {"ok"}
    assert lines["prefix cache"].found == "on, 90% of 1,000,000 prompt tokens were found in it"
    assert lines["KV cache"].found == "25% in use, 320,000 tokens, 2.4 full windows"
    assert lines["queue"].found == "3 running, 0 waiting, 0.1 s in the queue on average"


E = '{engine="0",model_name="m"}'
UNHEALTHY: list[tuple[str, str, str, str, str]] = [
    ('caching="True"', 'caching="False"', "prefix cache", "off", "--enable-prefix-caching"),
    (f"hits_total{E} 5", f"hits_total{E} -3", "prefix cache", "10%", "spreads a session over replicas"),
    ("} 0.25", "} 0.97", "KV cache", "97% in use", "--kv-offloading-size"),
    (f"ptions_total{E} 0", f"ptions_total{E} 7", "KV cache", "7 requests were", "--gpu-memory-utilization"),
    (f"waiting{E} 0", f"waiting{E} 5", "queue", "5 waiting", "add replicas"),
    ("} 10.0", "} 900.0", "queue", "9.0 s in the queue", "--scheduling-policy priority"),
    (
        "vllm:num_req",
        f"vllm:admission_rejections_total{E} 4\nvllm:num_req",
        "queue",
        "4 requests",
        "replicas",
    ),
]


@pytest.mark.parametrize(("old", "new", "name", "found", "advice"), UNHEALTHY)
def test_each_fault_is_named_with_its_remedy(old: str, new: str, name: str, found: str, advice: str) -> None:
    assert old in HEALTHY
    line = diagnosed(HEALTHY.replace(old, new, 1))[name]
    assert line.status == "warn"
    assert found in line.found
    assert advice in line.advice


def test_a_low_hit_rate_in_a_full_cache_is_blamed_on_the_cache() -> None:
    text = HEALTHY.replace("hits_total", "other_total").replace("} 0.25", "} 0.99")
    assert "KV cache is too small" in diagnosed(text)["prefix cache"].advice


def test_a_server_that_has_just_started_is_not_judged() -> None:
    assert (
        diagnosed(HEALTHY.replace("600000.0", "900.0").replace("400000.0", "0.0"))["prefix cache"].found
        == "on"
    )


def test_a_server_without_metrics_is_not_judged() -> None:
    (line,) = diagnosed("").values()
    assert line == Line("prefix cache", "ok", "unknown: the server's metrics do not say")


def test_a_capacity_that_is_unknown_is_left_out() -> None:
    text = HEALTHY.replace('num_gpu_blocks="20000"', 'num_gpu_blocks="None"')
    assert diagnosed(text)["KV cache"].found == "25% in use"


def test_labels_may_contain_quotes_and_braces() -> None:
    metrics = Metrics('a{x="say \\"} 5\\"",y="1"} 2.0')
    assert metrics.samples == [("a", {"x": 'say \\"} 5\\"', "y": "1"}, 2.0)]


@given(st.text(alphabet='vllm:abc_{}=",\\\\ 0123.\n#', max_size=200))
def test_any_page_can_be_read(text: str) -> None:
    list(diagnose_metrics(HEALTHY + text, 8192))
