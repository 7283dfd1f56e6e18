"""What a server does, from two pages of its metrics. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from vllm_messages_plugin.cli.doctor.metrics import Metrics

PREFIX = "vllm_messages_"


@dataclass(frozen=True)
class KeyRow:
    """One key. The numbers per second and the shares cover the time between the two pages.

    Attributes:
        key: Its name.
        running: Requests that run now.
        requests: Requests a second that ended.
        input_tokens: Prompt tokens a second that were processed anew.
        output_tokens: Generated tokens a second.
        cached: The share of prompt tokens that the prefix cache held; None without prompts.
        refused: Requests refused for its limits or a full queue.
    """

    key: str
    running: int
    requests: float
    input_tokens: float
    output_tokens: float
    cached: float | None
    refused: int


@dataclass(frozen=True)
class Snapshot:
    """A server at one moment; the numbers of vLLM's engine are None where its metrics lack them."""

    running: int | None
    waiting: int | None
    kv_cache: float | None
    cached: float | None
    output_tokens: float
    keys: tuple[KeyRow, ...]


def snapshot(before: Metrics | None, now: Metrics, seconds: float) -> Snapshot:
    """Compare two pages of metrics.

    Args:
        before: The earlier page; None to count from the server's start.
        now: The later page.
        seconds: The time between the two; without an earlier page rates are left 0.
    """
    rows = tuple(_row(key, before, now, seconds) for key in sorted(_keys(now)))
    running, waiting = (now.total(f"vllm:num_requests_{name}") for name in ("running", "waiting"))
    return Snapshot(
        running=None if running is None else int(running),
        waiting=None if waiting is None else int(waiting),
        kv_cache=now.highest("vllm:kv_cache_usage_perc"),
        cached=_cached(before, now),
        output_tokens=sum(row.output_tokens for row in rows),
        keys=rows,
    )


def _keys(metrics: Metrics) -> Iterator[str]:
    yield from {
        labels["key"] for name, labels, _ in metrics.samples if name.startswith(PREFIX) and "key" in labels
    }


def _row(key: str, before: Metrics | None, now: Metrics, seconds: float) -> KeyRow:
    def rate(name: str, **labels: str) -> float:
        return 0.0 if before is None else _grown(before, now, name, key=key, **labels) / max(seconds, 1e-9)

    return KeyRow(
        key=key,
        running=int(now.total(f"{PREFIX}running", key=key) or 0),
        requests=rate("requests"),
        input_tokens=rate("tokens", kind="input"),
        output_tokens=rate("tokens", kind="output"),
        cached=_cached(before, now, key=key),
        refused=int(_grown(before, now, "refused", key=key)),
    )


def _cached(before: Metrics | None, now: Metrics, **labels: str) -> float | None:
    cached, anew = (_grown(before, now, "tokens", kind=kind, **labels) for kind in ("cached", "input"))
    return cached / (cached + anew) if cached + anew else None


def _grown(before: Metrics | None, now: Metrics, name: str, **labels: str) -> float:
    """How much a counter grew. A server that was started again begins at 0."""
    new = now.total(PREFIX + name, **labels) or 0.0
    old = 0.0 if before is None else before.total(PREFIX + name, **labels) or 0.0
    return new - old if new >= old else new
