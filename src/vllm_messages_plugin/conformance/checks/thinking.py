"""Checks of thinking: what a request asks for, what the reply contains, and what is sent back."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    expect_accepted,
    expect_ok,
    single_turn,
    stream_message,
)
from vllm_messages_plugin.conformance.checks.tools import TURNS, WEATHER
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped

KINDS: tuple[dict[str, Any], ...] = (
    {"type": "enabled", "budget_tokens": 1024},
    {"type": "enabled", "budget_tokens": 4096, "display": "summarized"},
    {"type": "adaptive"},
    {"type": "adaptive", "display": "updates"},
    {"type": "between_tools"},
    {"type": "disabled"},
)
PUZZLE = "Is 17 a prime number?"
LIMIT = 512
NO_THINKING_CAPABILITY = "the model cannot think (capabilities)"
NO_THINKING_CAME = f"no thinking within {LIMIT} tokens"
Block = dict[str, Any]


def thinking(client: Client) -> Outcome:
    """Every type of thinking is accepted, whether or not the model can think."""
    for kind in KINDS:
        expect_accepted(
            client,
            single_turn("Say hello.", 2048, thinking=kind),
            f"thinking {kind['type']} {kind.get('display', '')}".strip(),
        )
    return passed(", ".join(dict.fromkeys(str(kind["type"]) for kind in KINDS)))


def budgets(client: Client) -> Outcome:
    """A budget as large as max_tokens is lowered, not refused, because agents send that."""
    kind = {"type": "enabled", "budget_tokens": 1024}
    for limit in (200, 1024):
        expect_accepted(
            client, single_turn("Say hello.", limit, thinking=kind), f"a budget of 1024 within {limit}"
        )
    return passed("1024 within 200 and within 1024")


def signed_thinking(client: Client) -> Outcome:
    """Thinking comes first, in a block with text and a signature, streamed or not."""
    if client.thinking is False:
        return skipped(NO_THINKING_CAPABILITY)
    body = single_turn(PUZZLE, LIMIT, thinking={"type": "adaptive"})
    plain, streamed_message = expect_ok(client.message(body), "with thinking"), stream_message(client, body)
    found = [
        (kind, message)
        for kind, message in (("plain", plain), ("streamed", streamed_message))
        if thinking_blocks(message)
    ]
    if not found:
        return skipped(NO_THINKING_CAME)
    for kind, message in found:
        expect(message["content"][0]["type"] == "thinking", f"{kind}: thinking does not come first")
        _expect_signed(thinking_blocks(message), kind)
        expect(thinking_blocks(message)[0].get("thinking"), f"{kind}: the thinking is empty")
    return passed(f"{len(thinking_blocks(found[0][1])[0]['thinking'])} characters, signed")


def omitted_thinking(client: Client) -> Outcome:
    """With display: omitted, thinking is empty and signed, and the block can be sent back."""
    if client.thinking is False:
        return skipped(NO_THINKING_CAPABILITY)
    body = single_turn(PUZZLE, LIMIT, thinking={"type": "adaptive", "display": "omitted"})
    plain, streamed_message = expect_ok(client.message(body), "display omitted"), stream_message(client, body)
    found = [
        (kind, message)
        for kind, message in (("plain", plain), ("streamed", streamed_message))
        if thinking_blocks(message)
    ]
    if not found:
        return skipped(NO_THINKING_CAME)
    for kind, message in found:
        shown = thinking_blocks(message)[0].get("thinking")
        expect(shown == "", f"{kind}: the thinking is shown: {str(shown)[:40]!r}")
        _expect_signed(thinking_blocks(message), kind)
    turns = [*body["messages"], {"role": "assistant", "content": plain["content"] or "Yes."}]
    again = {**body, "max_tokens": 4, "messages": [*turns, {"role": "user", "content": "Sure?"}]}
    expect_ok(client.message(again), "the same block sent back")
    return passed("empty, signed, and accepted back")


def thinking_blocks(message: dict[str, Any]) -> list[Block]:
    """Return the thinking blocks of a message."""
    return [block for block in message.get("content") or [] if block.get("type") == "thinking"]


def _expect_signed(blocks: list[Block], kind: str) -> None:
    for block in blocks:
        signature = block.get("signature")
        expect(isinstance(signature, str) and signature, f"{kind}: the signature is {signature!r}")


PASSED_BACK: tuple[tuple[str, Block], ...] = (
    (
        "another server's signature",
        {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
    ),
    ("an empty signature", {"type": "thinking", "thinking": "Let me see.", "signature": ""}),
    (
        "no text and another server's signature",
        {"type": "thinking", "thinking": "", "signature": "bm90IG91cnM="},
    ),
    ("redacted_thinking", {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}),
)


def passed_back(client: Client) -> Outcome:
    """Thinking from another server is accepted within a tool loop: a session may have changed its server."""
    for what, block in PASSED_BACK:
        turns = [TURNS[0], {"role": "assistant", "content": [block, *TURNS[1]["content"]]}, TURNS[2]]
        body = {"max_tokens": 2048, "messages": turns, "tools": [WEATHER], "thinking": {"type": "adaptive"}}
        expect_accepted(client, body, what)
    return passed(", ".join(what for what, _ in PASSED_BACK))
