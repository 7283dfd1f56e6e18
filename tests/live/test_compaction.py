"""Compaction on a real server: the SDK's tool runner compacts, and goes on from the summary."""

from typing import Any

import anthropic
import httpx
import pytest
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


def edit(**fields: Any) -> dict[str, Any]:
    trigger = {"type": "input_tokens", "value": 1_000}
    return {"edits": [{"type": "compact_20260112", "trigger": trigger, **fields}]}


EDIT_RULES = [
    {"when": "<summary>.*A heron waits", "say": "It waits for a fish."},
    {"when": "summary of this conversation", "say": "A heron waits."},
]


@pytest.mark.parametrize("thinking", [False, True])
def test_a_long_conversation_is_compacted_and_the_reply_goes_on(
    thinking: bool, server: Server, anthropic_client: anthropic.Anthropic
) -> None:
    thought = "<think>\nWhat is in it?\n</think>\n\n" if thinking else ""
    rules = [{**rule, "say": thought + rule["say"]} for rule in EDIT_RULES]
    fields: dict[str, Any] = {
        "model": "tiny",
        "max_tokens": 200,
        "messages": [{"role": "user", "content": LONG}],
        "context_management": edit(),
        "betas": ["compact-2026-01-12"],
        "thinking": {"type": "adaptive" if thinking else "disabled"},
    }
    with server.playbook(rules):
        whole = anthropic_client.beta.messages.create(**fields).to_dict()
        with anthropic_client.beta.messages.stream(**fields) as stream:
            streamed = stream.get_final_message().to_dict()
    kinds = ["compaction", "thinking", "text"] if thinking else ["compaction", "text"]
    assert [block["type"] for block in whole["content"]] == kinds
    assert whole["content"][0]["content"] == "A heron waits."
    assert whole["content"][-1]["text"] == "It waits for a fish."
    assert streamed["content"] == whole["content"]
    assert streamed["stop_reason"] == whole["stop_reason"] == "end_turn"
    summary, reply = whole["usage"]["iterations"]
    assert (summary["type"], reply["type"]) == ("compaction", "message")
    assert input_tokens(whole["usage"]) == input_tokens(reply) < 1_000 < input_tokens(summary)
    assert whole["usage"]["output_tokens"] == reply["output_tokens"]


def input_tokens(usage: dict[str, Any]) -> int:
    return sum(count for name, count in usage.items() if name.endswith("input_tokens"))


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdks_tool_runner_resumes_a_reply_that_paused_after_its_compaction(
    streamed: bool, server: Server, anthropic_client: anthropic.Anthropic
) -> None:
    rules = [
        {"when": "<summary>.*A heron waits.*There is a heron in Oslo", "say": "It is in Oslo."},
        {
            "when": "<summary>.*A heron waits",
            "say": '<tool_call>\n{"name": "look", "arguments": {"place": "Oslo"}}\n</tool_call>',
        },
        EDIT_RULES[1],
    ]
    with server.playbook(rules):
        runner = anthropic_client.beta.messages.tool_runner(
            model="tiny",
            max_tokens=200,
            tools=[look],
            messages=[{"role": "user", "content": LONG}],
            context_management=edit(pause_after_compaction=True),
            betas=["compact-2026-01-12"],
            stream=streamed,
        )
        messages = [step.get_final_message() if streamed else step for step in runner]
    assert [message.stop_reason for message in messages] == ["compaction", "tool_use", "end_turn"]
    assert messages[-1].content[0].text == "It is in Oslo."
