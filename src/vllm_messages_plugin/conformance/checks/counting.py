"""Checks of count_tokens: it reports what the same request is then charged for."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import expect_ok, input_total, single_turn
from vllm_messages_plugin.conformance.checks.structured import FORMAT, QUESTION
from vllm_messages_plugin.conformance.checks.tools import TURNS, WEATHER
from vllm_messages_plugin.conformance.checks.turns import IMAGE
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

COUNT_PATH = f"{MESSAGES}/count_tokens"
HELLO = single_turn("Say hello.", 1)["messages"]
JSON = single_turn(QUESTION, 1)["messages"]
SYSTEM = "You answer in one short sentence."


def _history_with_thinking() -> list[dict[str, Any]]:
    signed_thinking = {"type": "thinking", "thinking": "Let me see.", "signature": "bm90IG91cnM="}
    return [TURNS[0], {"role": "assistant", "content": [signed_thinking, *TURNS[1]["content"]]}, TURNS[2]]


CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("one message", {"messages": HELLO}),
    ("system, tools and results", {"system": SYSTEM, "messages": TURNS, "tools": [WEATHER]}),
    (
        "thinking",
        {"messages": _history_with_thinking(), "tools": [WEATHER], "thinking": {"type": "adaptive"}},
    ),
    (
        "no thinking",
        {"messages": _history_with_thinking(), "tools": [WEATHER], "thinking": {"type": "disabled"}},
    ),
    ("a system message in place", {"messages": [*HELLO, {"role": "system", "content": SYSTEM}]}),
    ("a format", {"messages": JSON, "output_config": {"format": FORMAT}}),
    ("tools: []", {"messages": HELLO, "tools": []}),
)
PICTURE = {"messages": [{"role": "user", "content": [IMAGE, {"type": "text", "text": "What is it?"}]}]}


def count_tokens(client: Client) -> Outcome:
    """count_tokens agrees with usage, to the token, for every part of a request."""
    cases = (*CASES, ("an image", PICTURE)) if client.images else CASES
    found = [_agree(client, what, body) for what, body in cases]
    return passed(", ".join(found))


def _agree(client: Client, what: str, body: dict[str, Any]) -> str:
    counted = expect_ok(client.message(body, path=COUNT_PATH), f"{what}: count_tokens")
    message = expect_ok(client.message({**body, "max_tokens": 1}), f"{what}: the request itself")
    counted_tokens, charged = counted.get("input_tokens"), input_total(message.get("usage") or {})
    expect(
        counted_tokens == charged,
        f"{what}: count_tokens returns {counted_tokens}, usage {charged} ({message.get('usage')})",
    )
    return f"{what} {counted_tokens}"
