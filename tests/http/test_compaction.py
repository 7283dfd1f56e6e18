"""On-demand compaction through the route: the reply is one signed block, and the next request reads it."""

from typing import Any

import anthropic
import httpx
import pytest

from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    PromptProcessed,
    ReplyFinished,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.compaction import INSTRUCTIONS

TALK = [
    {"role": "user", "content": "Find the heron."},
    {"role": "assistant", "content": "It is in the reeds."},
]
ASK: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 100,
    "messages": TALK,
    "compaction": {"type": "summarize"},
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any"},
}
OPEN_CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
SUMMARY: tuple[EngineDelta, ...] = (
    PromptProcessed(50, 40),
    EngineThinking("Hm."),
    EngineText("The heron is "),
    EngineText("in the reeds."),
    ReplyFinished("stop", 9),
)


async def post(engine: FakeEngine, body: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        return await client.post("/v1/messages", json=body)


async def test_the_reply_is_one_signed_compaction_block() -> None:
    message = (await post(FakeEngine(SUMMARY), ASK)).json()
    (block,) = message["content"]
    assert block["type"] == "compaction"
    assert block["content"] == "The heron is in the reeds."
    assert block["signature"]
    assert message["stop_reason"] == "compaction"
    parsed = anthropic.types.beta.BetaMessage.model_validate(message)
    assert parsed.usage.iterations is not None
    assert [entry.type for entry in parsed.usage.iterations] == ["compaction"]


async def test_stop_sequences_do_not_cut_the_summary() -> None:
    engine = FakeEngine(SUMMARY)
    await post(engine, ASK | {"stop_sequences": ["reeds"]})
    assert not engine.requests[0].sampling.stop_sequences


async def test_the_model_reads_the_conversation_and_then_the_instructions() -> None:
    engine = FakeEngine(SUMMARY)
    await post(engine, ASK)
    conversation = engine.requests[0].conversation
    assert INSTRUCTIONS in str(conversation.messages[-1]["content"])
    assert "Find the heron." in str(conversation.messages[0]["content"])
    assert conversation.choice.mode == "none"


@pytest.mark.parametrize(("given", "read"), [("Only names.", "Only names."), (" ", INSTRUCTIONS)])
async def test_instructions_of_the_request_replace_the_own_ones(given: str, read: str) -> None:
    engine = FakeEngine(SUMMARY)
    await post(engine, {**ASK, "compaction": {"type": "summarize", "instructions": given}})
    assert engine.requests[0].conversation.messages[-1]["content"] == read


async def test_the_next_request_reads_the_summary_in_place_of_the_conversation() -> None:
    block = (await post(FakeEngine(SUMMARY), ASK)).json()["content"][0]
    engine = FakeEngine((EngineText("Yes."), ReplyFinished("stop", 1)))
    messages = [
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "Is it still there?"},
    ]
    assert (await post(engine, {"model": "fake", "max_tokens": 9, "messages": messages})).status_code == 200
    prompt = str(engine.requests[0].conversation.messages)
    assert "The heron is in the reeds." in prompt
    assert "Find the heron." not in prompt


@pytest.mark.parametrize(
    "deltas",
    [
        (EngineText("The her"), ReplyFinished("length", 100)),
        (EngineText("  "), ReplyFinished("stop", 1)),
    ],
)
async def test_a_summary_that_failed_has_no_content(deltas: tuple[EngineDelta, ...]) -> None:
    message = (await post(FakeEngine(deltas), ASK)).json()
    assert message["content"][0]["content"] is None
    assert message["content"][0]["signature"] is None


@pytest.mark.parametrize(
    ("fields", "path"),
    {
        "a type not known": ({"compaction": {"type": "drop"}}, "compaction.type"),
        "no type": ({"compaction": {}}, "compaction.type"),
        "instructions that are no text": (
            {"compaction": {"type": "summarize", "instructions": 7}},
            "compaction.instructions",
        ),
        "together with edits": (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
            "compaction",
        ),
        "a call without its result": (
            {
                "messages": [
                    *TALK,
                    {"role": "user", "content": "Go on."},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
                    },
                ]
            },
            "compaction",
        ),
    }.values(),
)
async def test_what_can_not_be_compacted_is_refused_by_name(fields: dict[str, Any], path: str) -> None:
    reply = await post(FakeEngine(SUMMARY), {**ASK, **fields})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(path)
