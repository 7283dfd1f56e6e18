"""The smoke test's checks, as one table. The smoke-test command runs them, top to bottom."""

from collections.abc import Callable
from dataclasses import dataclass

from vllm_messages_plugin.cli.checks import acceptance, answers, limits, refusals, tools
from vllm_messages_plugin.cli.client import Client
from vllm_messages_plugin.cli.outcome import Outcome


@dataclass(frozen=True)
class Check:
    """One check: the name that --only takes, its title and the function that makes it."""

    name: str
    title: str
    function: Callable[[Client], Outcome]


CHECKS = (
    Check("models", "GET /v1/models lists the model", answers.models),
    Check("message", "a plain message", answers.message),
    Check("stream", "the grammar of a stream", answers.stream_grammar),
    Check("same-text", "streamed and plain answers agree", answers.same_text),
    Check("stop-sequences", "a stop sequence ends the answer", limits.stop_sequences),
    Check("max-tokens", "max_tokens cuts, and is clamped", limits.max_tokens),
    Check("too-long", "a prompt that is too long is refused", limits.too_long),
    Check("forced-tool", "a forced tool is called", tools.forced_tool),
    Check("tool-result", "tool results are accepted", tools.tool_result),
    Check("count-tokens", "count_tokens agrees with usage", acceptance.count_tokens),
    Check("cache", "a repeated prompt is read from the cache", acceptance.cache),
    Check("thinking", "every kind of thinking is accepted", acceptance.thinking),
    Check("leniency", "what clients send is accepted", acceptance.leniency),
    Check("errors", "errors come in the envelope", refusals.errors),
    Check("auth", "the key counts in both headers", refusals.auth),
)
