"""Diagnoses a running server from vLLM's Prometheus metrics: prefix cache, KV cache, queue.

The counters cover the time since the server started, the gauges this moment.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from vllm_messages_plugin.cli.doctor.line import Line, ok, warn

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Fewer prompt tokens than these say nothing about the prefix cache.
ENOUGH_TOKENS = 20_000
LOW_HIT_RATE = 0.3
FULL_CACHE = 0.9
LONG_QUEUE_SECONDS = 1.0
LARGER_CACHE = (
    "the KV cache is too small for these sessions: raise --gpu-memory-utilization, lower --max-num-seqs, or "
    "keep idle sessions in CPU memory with --kv-offloading-size"
)
OTHER_PROMPTS = (
    "the prompts of a session start differently on each turn, or a proxy spreads a session over replicas: "
    "`vllm-messages bench` shows what a session should find"
)
RELIEVE_QUEUE = (
    "add replicas, or raise --max-num-seqs if the KV cache has space; --scheduling-policy priority lets "
    "short requests overtake"
)


@dataclass(frozen=True)
class Metrics:
    """The text of a /metrics page."""

    text: str

    @cached_property
    def samples(self) -> list[tuple[str, Mapping[str, str], float]]:
        """Every sample: its name, its labels and its value."""
        found: list[tuple[str, Mapping[str, str], float]] = []
        for name, labels, value in SAMPLE.findall(self.text):
            try:
                found.append((name, dict(LABEL.findall(labels)), float(value)))
            except ValueError:
                continue
        return found

    def total(self, name: str, **wanted: str) -> float | None:
        """Return the sum of a metric over all samples with the wanted labels; None if there is none."""
        values = [
            value
            for found, labels, value in self.samples
            if found in {name, f"{name}_total"} and wanted.items() <= labels.items()
        ]
        return sum(values) if values else None

    def highest(self, name: str) -> float | None:
        """Return the highest value of a gauge over all engines; None if it is absent."""
        return max((value for found, _, value in self.samples if found == name), default=None)

    def label(self, name: str, label: str) -> str | None:
        """Return a label of an information metric; None if it is absent."""
        return next(
            (labels[label] for found, labels, _ in self.samples if found == name and label in labels), None
        )


def diagnose_metrics(text: str, window: int | None) -> Iterator[Line]:
    """Yield the lines about a server's caches and queue.

    Args:
        text: The page of /metrics.
        window: The served context window in tokens; None if unknown.
    """
    metrics = Metrics(text)
    yield _prefix_cache(metrics)
    yield from _kv_cache(metrics, window)
    yield from _queue(metrics)


def _prefix_cache(metrics: Metrics) -> Line:
    enabled = metrics.label("vllm:cache_config_info", "enable_prefix_caching")
    if enabled is None:
        return ok("prefix cache", "unknown: the server's metrics do not say")
    if enabled != "True":
        return warn(
            "prefix cache", "off", "start vLLM with --enable-prefix-caching: agents repeat long prompts"
        )
    queries = metrics.total("vllm:prefix_cache_queries") or 0.0
    if queries < ENOUGH_TOKENS:
        return ok("prefix cache", "on")
    rate = (metrics.total("vllm:prefix_cache_hits") or 0.0) / queries
    found = f"on, {rate:.0%} of {queries:,.0f} prompt tokens were found in it"
    if rate >= LOW_HIT_RATE:
        return ok("prefix cache", found)
    return warn("prefix cache", found, LARGER_CACHE if _is_short_of_cache(metrics) else OTHER_PROMPTS)


def _is_short_of_cache(metrics: Metrics) -> bool:
    usage = metrics.highest("vllm:kv_cache_usage_perc") or 0.0
    return usage >= FULL_CACHE or bool(metrics.total("vllm:num_preemptions"))


def _kv_cache(metrics: Metrics, window: int | None) -> Iterator[Line]:
    usage = metrics.highest("vllm:kv_cache_usage_perc")
    if usage is None:
        return
    words = [f"{usage:.0%} in use", *_capacity(metrics, window)]
    preemptions = metrics.total("vllm:num_preemptions") or 0.0
    if preemptions:
        words.append(f"{preemptions:.0f} requests were interrupted for lack of it")
        yield warn("KV cache", ", ".join(words), LARGER_CACHE)
    elif usage >= FULL_CACHE:
        yield warn("KV cache", ", ".join(words), LARGER_CACHE)
    else:
        yield ok("KV cache", ", ".join(words))


def _capacity(metrics: Metrics, window: int | None) -> Iterator[str]:
    blocks, size = (
        metrics.label("vllm:cache_config_info", name) or "" for name in ("num_gpu_blocks", "block_size")
    )
    if not (blocks.isdecimal() and size.isdecimal()):
        return
    tokens = int(blocks) * int(size)
    yield f"{tokens:,} tokens"
    if window:
        yield f"{tokens / window:.1f} full windows"


def _queue(metrics: Metrics) -> Iterator[Line]:
    waiting, running = (metrics.total(f"vllm:num_requests_{name}") for name in ("waiting", "running"))
    if waiting is None or running is None:
        return
    words = [f"{running:.0f} running, {waiting:.0f} waiting"]
    count = metrics.total("vllm:request_queue_time_seconds_count") or 0.0
    mean = (metrics.total("vllm:request_queue_time_seconds_sum") or 0.0) / count if count else 0.0
    if count:
        words.append(f"{mean:.1f} s in the queue on average")
    refused = metrics.total("vllm:admission_rejections") or 0.0
    if refused:
        words.append(f"{refused:.0f} requests were refused")
    if waiting or mean >= LONG_QUEUE_SECONDS or refused:
        yield warn("queue", ", ".join(words), RELIEVE_QUEUE)
    else:
        yield ok("queue", ", ".join(words))
