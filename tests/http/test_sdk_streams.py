"""The official SDK's streaming helpers over this server: their events, snapshots and final message."""

from typing import Any

import anthropic
import httpx2
import pytest

from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, EngineToolCall, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

TOOL: Any = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
ASK: Any = {
    "model": "fake",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [TOOL],
    "thinking": {"type": "adaptive"},
}
DELTAS = (
    *(EngineThinking("Hm, "), EngineThinking("well."), EngineText("I "), EngineText("look.")),
    *(EngineToolCall(0, "f", '{"a"'), EngineToolCall(0, arguments=": 12}"), EngineToolCall(1, "f", "{}")),
    ReplyFinished("stop", 9),
)


def sdk(engine: FakeEngine) -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app_with(engine)))
    return anthropic.AsyncAnthropic(base_url="http://server", api_key="x", max_retries=0, http_client=http)


@pytest.mark.parametrize("beta", [False, True], ids=["messages", "beta"])
async def test_the_helpers_events_come_in_order(beta: bool) -> None:
    async with sdk(FakeEngine(DELTAS)) as client:
        messages: Any = client.beta.messages if beta else client.messages
        async with messages.stream(**ASK) as stream:
            events = [event async for event in stream]
    derived = [event for event in events if event.type in ("thinking", "signature", "text", "input_json")]
    assert [event.type for event in derived[:5]] == ["thinking", "thinking", "signature", "text", "text"]
    assert (derived[1].thinking, derived[1].snapshot) == ("well.", "Hm, well.")
    assert (derived[4].text, derived[4].snapshot) == ("look.", "I look.")
    assert {event.type for event in derived[5:]} == {"input_json"}
    assert {"a": 12} in [event.snapshot for event in derived[5:]]
    ended = [event.content_block.type for event in events if event.type == "content_block_stop"]
    assert ended == ["thinking", "text", "tool_use", "tool_use"]
    assert events[-1].type == "message_stop"
    assert events[-1].message.stop_reason == "tool_use"


async def test_helpers_events_and_a_plain_reply_build_the_same_message() -> None:
    async with sdk(FakeEngine(DELTAS)) as client:
        message = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            streamed = await stream.get_final_message()
        kinds = [event.type async for event in await client.messages.create(**ASK, stream=True)]
    without = {"id": ..., "content": {"__all__": {"id", "signature"}}}
    assert streamed.model_dump(exclude=without) == message.model_dump(exclude=without)
    assert [block.id for block in message.content if block.type == "tool_use"] != []
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])


async def test_the_final_text_joins_the_text_blocks() -> None:
    async with sdk(FakeEngine(DELTAS)) as client, client.messages.stream(**ASK) as stream:
        assert await stream.get_final_text() == "I look."


async def test_an_aborted_stream_keeps_what_was_received() -> None:
    engine = FakeEngine(DELTAS)
    async with sdk(engine) as client, client.messages.stream(**ASK) as stream:
        async for event in stream:
            if event.type == "text":
                break
        assert stream.current_message_snapshot.content[-1].type == "text"
    assert engine.closed.is_set()
