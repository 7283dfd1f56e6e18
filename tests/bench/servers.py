"""Two servers of one model, one with the plugin and one with vLLM's own routes, asked by turns.

The engine runs in a process of its own, so that the API server's process has only what the routes cost.
Its CPU time comes from `probe`.
"""

import json
import os
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bench import client, probe, prompts
from bench.source import source
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

STREAMS = 24
REPLY_CHARACTERS = 1_400  # about 512 tokens
REQUESTS = 8  # of one kind in a round
FLAGS = (
    *("--dtype", "float32", "--max-num-seqs", "64"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"),
    *("--middleware", "bench.probe.Probe"),
)
STREAMED = "streamed token"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
WRITE = {
    "name": "Write",
    "description": "Writes a file.",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["file_path", "content"],
    },
}

Cost = Callable[[Server, int], float]
"""What one round costs on a server, in seconds; the number distinguishes the rounds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row: medians of the rounds, and the ratio of each round's two."""

    name: str
    unit: str
    ours: float
    theirs: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def streamed(self) -> bool:
        return self.name.startswith(STREAMED)


def measure(rounds: int, progress: Callable[[str], None]) -> list[Comparison]:
    """Start both servers and compare them."""
    with ExitStack() as stack:
        servers = []
        for enabled in ("1", "0"):
            progress(f"starting a server, {'with the plugin' if enabled == '1' else 'vLLM alone'}")
            servers.append(stack.enter_context(_server(enabled)))
            stack.enter_context(servers[-1].playbook(playbook()))
        ours, theirs = servers
        found = []
        for (name, unit), cost in COSTS.items():
            progress(name)
            found.append(_compare(name, unit, cost, ours, theirs, rounds))
        return found


def _server(enabled: str) -> Any:
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    environment = {
        "VLLM_MESSAGES_ENABLED": enabled,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    return start_server(tiny.model_directory(), *FLAGS, env=environment)


def playbook() -> list[dict[str, Any]]:
    """What the model says in each kind of stream."""
    text = source(REPLY_CHARACTERS)
    call = json.dumps({"name": "Write", "arguments": {"file_path": "/a.py", "content": text}})
    return [
        {"when": "Stream text", "say": f"<think>\n\n</think>\n\n{text}"},
        {"when": "Stream thinking", "say": f"<think>\n{text}\n</think>\n\nDone."},
        {"when": "Stream a call", "say": f"<tool_call>\n{call}\n</tool_call>"},
    ]


def _compare(name: str, unit: str, cost: Cost, ours: Server, theirs: Server, rounds: int) -> Comparison:
    """Rounds on both servers by turns, one of them first in every other round; the first round warms up."""
    pairs = []
    for number in range(rounds + 1):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        costs = {server.url: cost(server, number) for server in order}
        pairs.append((costs[ours.url], costs[theirs.url]))
    kept = pairs[1:]
    return Comparison(
        name,
        unit,
        statistics.median(own for own, _ in kept),
        statistics.median(other for _, other in kept),
        tuple(own / other for own, other in kept),
    )


def _streamed(ask: str, further: Mapping[str, Any]) -> Cost:
    """CPU of the API server's process for each token of some streams at the same time."""

    def cost(server: Server, number: int) -> float:
        bodies = [
            {
                "model": "tiny",
                "max_tokens": 4_096,
                "stream": True,
                "messages": [{"role": "user", "content": f"Stream {ask}, {number}-{stream}"}],
                **further,
            }
            for stream in range(STREAMS)
        ]
        before = _used(server)
        answers = client.post(server.url, MESSAGES, *bodies)
        return (_used(server) - before) / sum(answer.output_tokens for answer in answers)

    return cost


def _used(server: Server) -> float:
    return float(client.get(server.url, "/health").headers[probe.USED])


def _before_engine(make: Callable[[int], dict[str, Any]]) -> Cost:
    """CPU from a request's first byte to the engine."""
    return _told(MESSAGES, make, probe.HANDED_OVER)


def _counting(make: Callable[[int], dict[str, Any]]) -> Cost:
    """CPU of a whole count_tokens request."""
    return _told(COUNT_TOKENS, lambda number: prompts.counted(make(number)), probe.ANSWERED)


def _told(path: str, make: Callable[[int], dict[str, Any]], header: str) -> Cost:
    """The median of what the probe tells of some requests, each alone and none seen before."""
    numbers: dict[str, count[int]] = {}

    def cost(server: Server, _: int) -> float:
        following = numbers.setdefault(server.url, count())
        asked = (client.post(server.url, path, make(next(following)))[0] for _ in range(REQUESTS))
        return statistics.median(float(answer.headers[header]) for answer in asked)

    return cost


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2_048}}
COSTS: dict[tuple[str, str], Cost] = {
    (f"{STREAMED}: text", "µs"): _streamed("text", {}),
    (f"{STREAMED}: thinking", "µs"): _streamed("thinking", THINKING),
    (f"{STREAMED}: tool arguments", "µs"): _streamed("a call", {"tools": [WRITE]}),
    ("before the engine: a short question", "ms"): _before_engine(prompts.short),
    ("before the engine: an agent's first turn", "ms"): _before_engine(prompts.agentic),
    ("count_tokens: a short question", "ms"): _counting(prompts.short),
    ("count_tokens: an agent's first turn", "ms"): _counting(prompts.agentic),
}
