"""Checks of requests that every server must accept, and of its prefix cache."""

import re
import uuid
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import expect_ok, input_total, single_turn
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped

SYSTEM = "You answer in one short sentence."
SENTENCE = "The quick brown fox jumps over the lazy dog and runs into the deep green forest. "
SENTENCE_TOKENS = 18  # about, with any tokenizer for English
CACHED_PROMPT = (
    2400  # tokens: more than the smallest prompt that Anthropic caches, and than a block of vLLM's
)


def cache(client: Client) -> Outcome:
    """The second of two equal requests reads the cache, and both report the same number of input tokens."""
    length = min(CACHED_PROMPT, (client.window or CACHED_PROMPT) // 2)
    text = f"Run {uuid.uuid4().hex}. " + SENTENCE * (length // SENTENCE_TOKENS)
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    messages = [
        expect_ok(client.message(single_turn("Go on.", 1, system=system)), "a long prompt") for _ in range(2)
    ]
    first, second = (message.get("usage") or {} for message in messages)
    expect(input_total(first) == input_total(second), f"the sums differ: {first}, then {second}")
    read = second.get("cache_read_input_tokens")
    if not read and (why := cache_is_off(client, input_total(second))):
        return skipped(why)
    expect(read, f"cache_read_input_tokens is {read!r} at the second equal request")
    return passed(f"{read} of {input_total(second)} tokens were read from the cache")


def cache_is_off(client: Client, prompt: int) -> str | None:
    """Return why nothing can have been cached, if vLLM's metrics show it."""
    metrics = client.send_unrecorded("GET", "/metrics")
    facts = dict(re.findall(r'\b(block_size|enable_prefix_caching)="(\w+)"', metrics.text))
    if facts.get("enable_prefix_caching") == "False":
        return "the server runs without prefix caching"
    if facts.get("block_size", "").isdecimal() and prompt <= int(facts["block_size"]):
        return f"the prompt of {prompt} tokens is shorter than a cache block of {facts['block_size']}"
    return None


def _system_in_place() -> dict[str, Any]:
    turns = [
        {"role": "user", "content": "Say hello."},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "Say it again."}]},
    ]
    return {"max_tokens": 1, "messages": turns}


CLAUDE_CODE = {
    "metadata": {"user_id": '{"session_id": "smoke-test"}'},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
}
ACCEPTED_REQUESTS: tuple[tuple[str, dict[str, Any], str, dict[str, str]], ...] = (
    ("system as text", single_turn("Say hello.", 1, system=SYSTEM), MESSAGES, {}),
    (
        "system as blocks",
        single_turn("Say hello.", 1, system=[{"type": "text", "text": SYSTEM}]),
        MESSAGES,
        {},
    ),
    ("a system message in place", _system_in_place(), MESSAGES, {}),
    ("?beta=true", single_turn("Say hello.", 1), f"{MESSAGES}?beta=true", {}),
    (
        "an unknown beta",
        single_turn("Say hello.", 1),
        MESSAGES,
        {"anthropic_beta": "not-invented-2030-01-01"},
    ),
    ("another version", single_turn("Say hello.", 1), MESSAGES, {"anthropic_version": "2026-10-21"}),
    ("an unknown field", single_turn("Say hello.", 1, not_invented={"yet": True}), MESSAGES, {}),
    ("Claude Code's fields", single_turn("Say hello.", 1, **CLAUDE_CODE), MESSAGES, {}),
)


def leniency(client: Client) -> Outcome:
    """Requests that real clients send are accepted."""
    for what, body, path, headers in ACCEPTED_REQUESTS:
        expect_ok(client.message(body, path=path, **headers), what)
    return passed(", ".join(what for what, *_ in ACCEPTED_REQUESTS))
