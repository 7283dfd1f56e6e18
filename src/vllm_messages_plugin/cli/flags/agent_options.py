"""Options of `vllm serve` that matter for agents, each with its reason. Pure.

An agent's session differs from a chat: its prompts are long and grow with each turn, it pauses while tools
run, and many short side requests accompany it.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass

# Windows in tokens: what Claude Code needs at all, and from where on it works without restrictions.
SMALLEST_WINDOW, COMFORTABLE_WINDOW = 32_768, 131_072


@dataclass(frozen=True)
class AgentOption:
    """An option with an example value, the reason for it, and whether to measure before using it."""

    option: str
    value: str
    reason: str
    measure_first: bool = False

    @property
    def text(self) -> str:
        """The option as it stands on a command line."""
        return f"{self.option} {self.value}".strip()


def agent_options(
    window: int | None, available: Set[str] | None, packages: Set[str] = frozenset()
) -> list[AgentOption]:
    """Return the options to consider for agents, among those that the installed vLLM has.

    Args:
        window: The model's longest context window in tokens; None if unknown.
        available: The options of the installed vLLM; None if unknown, which leaves none out.
        packages: Importable packages that some options need.
    """
    candidates = [*_window(window), *_scheduling(), *_speculation(packages)]
    return [found for found in candidates if available is None or found.option in available]


def _window(window: int | None) -> Iterator[AgentOption]:
    if window is not None and window < SMALLEST_WINDOW:
        reason = (
            f"the model's whole window; Claude Code needs {SMALLEST_WINDOW} for more than `claude --bare`"
        )
        yield AgentOption("--max-model-len", str(window), reason)
    else:
        value = min(COMFORTABLE_WINDOW, window or COMFORTABLE_WINDOW)
        yield AgentOption(
            "--max-model-len",
            str(value),
            "as much window as the memory allows: coding agents start with 12,000 tokens and compact early "
            f"below {COMFORTABLE_WINDOW}",
        )


def _scheduling() -> Iterator[AgentOption]:
    yield AgentOption(
        "--scheduling-policy",
        "priority",
        "lets Claude Code's main loop and its short side requests overtake subagents, key by key",
    )
    yield AgentOption(
        "--max-num-queued-reqs",
        "64",
        "refuses requests at once when the queue is full (529 with retry-after)",
    )
    yield AgentOption(
        "--kv-offloading-size",
        "16",
        "GiB of CPU memory for the KV cache of idle sessions: a session that waited for a tool or a person "
        "then need not compute its whole prompt again",
        measure_first=True,
    )
    yield AgentOption(
        "--api-server-count",
        "2",
        "more API processes, where one CPU core is busy with the streams of many sessions",
        measure_first=True,
    )


def _speculation(packages: Set[str]) -> Iterator[AgentOption]:
    """Agents repeat code that stands in the prompt, which speculation from the prompt can copy."""
    reason = "several tokens per step where the output repeats the prompt, as in edits; slower for some loads"
    if "arctic_inference" in packages:
        yield AgentOption("--speculative-config", '\'{"method": "suffix"}\'', reason, measure_first=True)
    else:
        value = '\'{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}\''
        yield AgentOption("--speculative-config", value, reason, measure_first=True)
