"""How full vLLM's engine is: what runs, and what waits in its queue.

vLLM counts the requests that have not ended, but not how many of them wait: with a full KV cache some wait
although fewer run than may. Its Prometheus gauge has that number, as of the engine's last step.
"""

from typing import Any, Final

WAITING_METRIC: Final = "vllm:num_requests_waiting"


def max_running(config: Any) -> int:
    """Return how many requests run at once on all data-parallel ranks that a server sends requests to.

    Those are its own ranks only where a load balancer in front of several servers chooses the rank.

    Args:
        config: vLLM's VllmConfig.
    """
    parallel = config.parallel_config
    only_own = getattr(parallel, "local_engines_only", False)
    ranks = parallel.data_parallel_size_local if only_own else parallel.data_parallel_size
    return int(config.scheduler_config.max_num_seqs) * int(ranks)


def free_slots(client: Any, max_running: int) -> int:
    """Return how many more requests the engine would run at once; 0 while any waits.

    Args:
        client: vLLM's engine client.
        max_running: How many requests the engine runs at once.
    """
    unfinished = unfinished_requests(client)
    if unfinished and _waiting():
        return 0
    return max(max_running - unfinished, 0)


def unfinished_requests(client: Any) -> int:
    """Return how many requests run or wait: of all API processes where vLLM counts them together."""
    shared = getattr(client, "admission_stats", None)
    if shared is not None:
        return int(shared.get_num_requests())
    processor = getattr(client, "output_processor", None)
    return 0 if processor is None else int(processor.get_num_unfinished_requests())


def _waiting() -> int:
    """The length of the engine's queue at its last step; an idle engine leaves an old number."""
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        return 0
    found = REGISTRY.restricted_registry([WAITING_METRIC]).collect()
    return int(sum(sample.value for metric in found for sample in metric.samples))
