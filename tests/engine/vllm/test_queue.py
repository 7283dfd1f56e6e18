"""How many more requests the engine would run at once, by what vLLM counts."""

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY, Gauge

from vllm_messages_plugin.engine.vllm import queue
from vllm_messages_plugin.engine.vllm.queue import free_slots


def client(unfinished: int, shared: int | None = None) -> Any:
    counts = SimpleNamespace(get_num_unfinished_requests=lambda: unfinished)
    all_processes = None if shared is None else SimpleNamespace(get_num_requests=lambda: shared)
    return SimpleNamespace(output_processor=counts, admission_stats=all_processes)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gauge like vLLM's, with two engines; vLLM's own may be registered in this process."""
    monkeypatch.setattr(queue, "WAITING_METRIC", "test:num_requests_waiting")
    gauge = Gauge("test:num_requests_waiting", "Waiting.", ["engine"])
    yield gauge
    REGISTRY.unregister(gauge)


@pytest.mark.parametrize(
    ("unfinished", "in_queue", "free"), [(0, 0, 8), (3, 0, 5), (8, 0, 0), (20, 0, 0), (3, 1, 0), (0, 1, 8)]
)
def test_slots_are_free_while_nothing_waits(
    waiting: Gauge, unfinished: int, in_queue: int, free: int
) -> None:
    waiting.labels("0").set(0)
    waiting.labels("1").set(in_queue)
    assert free_slots(client(unfinished), 8) == free


def test_the_requests_of_all_api_processes_count(waiting: Gauge) -> None:
    assert free_slots(client(1, shared=6), 8) == 2


def test_an_engine_that_counts_nothing_is_taken_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "WAITING_METRIC", "test:no_such_metric")
    assert free_slots(SimpleNamespace(), 8) == 8
