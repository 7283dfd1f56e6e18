"""Compaction on a real server: the SDK's tool runner compacts, and goes on from the summary."""

from typing import Any

import anthropic
import httpx
from anthropic import beta_tool

from support.server import Server

LONG = "The heron stands in the reeds and waits for a fish that it can see. " * 900


@beta_tool
def look(place: str) -> str:
    """Look at a place.

    Args:
        place: Where to look.
    """
    return f"There is a heron in {place}."


def test_the_summary_is_written_behind_the_cached_conversation(server: Server, http: httpx.Client) -> None:
    messages = [{"role": "user", "content": LONG}]
    body: dict[str, Any] = {"model": "tiny", "max_tokens": 200, "messages": messages}
    rules = [
        {"when": "summary of this conversation", "say": "A heron waits."},
        {"when": ".", "say": "I see."},
    ]
    with server.playbook(rules):
        first = http.post("/v1/messages", json=body).json()
        messages.append({"role": "assistant", "content": first["content"]})
        reply = http.post("/v1/messages", json={**body, "compaction": {"type": "summarize"}}).json()
    assert reply["content"][0]["content"] == "A heron waits.", reply
    assert reply["stop_reason"] == "compaction"
    usage = reply["usage"]
    assert usage["cache_read_input_tokens"] >= 0.98 * (
        usage["cache_read_input_tokens"] + usage["input_tokens"] + usage["cache_creation_input_tokens"]
    )


def test_the_sdks_tool_runner_compacts_and_goes_on(
    server: Server, anthropic_client: anthropic.Anthropic
) -> None:
    rules = [
        {"when": "<summary>.*Wading birds were found", "say": "It is a heron."},
        {"when": "summary of this conversation", "say": "Wading birds were found in the reeds."},
        {
            "when": "Which bird",
            "say": '<tool_call>\n{"name": "look", "arguments": {"place": "the reeds"}}\n</tool_call>',
        },
    ]
    with server.playbook(rules):
        runner = anthropic_client.beta.messages.tool_runner(
            model="tiny",
            max_tokens=200,
            tools=[look],
            messages=[{"role": "user", "content": "Which bird is it?"}],
            betas=["compact-2026-09-04"],
        )
        stops = []
        for message in runner:
            stops.append(message.stop_reason)
            if len(stops) == 1:
                runner.compact_before_next_turn()
    assert stops == ["tool_use", "compaction", "end_turn"]
    assert message.content[0].text == "It is a heron."
