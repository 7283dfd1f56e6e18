"""The fake engine, asked through the plugin's routes by the official SDK and by plain HTTP."""

from typing import Any

import anthropic
import httpx2
import pytest

from vllm_messages_plugin.testing.fake_engine import FakeEngine, Reply, app_with
from vllm_messages_plugin.testing.replies import text_reply, tool_call_reply
from vllm_messages_plugin.wire.errors import MessagesError

QUESTION: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
}
WEATHER = {"name": "get_weather", "input_schema": {"type": "object"}}


def client_of(engine: FakeEngine) -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app_with(engine)))
    return anthropic.AsyncAnthropic(base_url="http://test", api_key="x", max_retries=0, http_client=http)


async def test_a_text_reply_is_one_block_and_counts_words() -> None:
    reply = await client_of(FakeEngine(text_reply("It is cold."))).messages.create(**QUESTION)
    assert [(block.type, block.text) for block in reply.content] == [("text", "It is cold.")]
    assert (reply.stop_reason, reply.usage.output_tokens) == ("end_turn", 3)


@pytest.mark.parametrize(("reason", "stop_reason"), [("stop", "end_turn"), ("length", "max_tokens")])
async def test_the_reason_becomes_the_stop_reason(reason: Any, stop_reason: str) -> None:
    reply = await client_of(FakeEngine(text_reply("It is", reason=reason))).messages.create(**QUESTION)
    assert reply.stop_reason == stop_reason


async def test_thinking_comes_before_the_text_and_is_signed() -> None:
    engine = FakeEngine(text_reply("Cold.", thinking="Oslo lies north."))
    thinking = {"type": "enabled", "budget_tokens": 1024}
    reply = await client_of(engine).messages.create(**QUESTION | {"max_tokens": 2000, "thinking": thinking})
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.content[0].thinking == "Oslo lies north."
    assert reply.content[0].signature


async def test_calls_come_in_order_after_the_text() -> None:
    calls = [("get_weather", {"city": city}) for city in ("Oslo", "Bergen")]
    client = client_of(FakeEngine(tool_call_reply(*calls, text="Two cities.")))
    async with client.messages.stream(**QUESTION, tools=[WEATHER]) as stream:
        reply = await stream.get_final_message()
    assert reply.stop_reason == "tool_use"
    assert [block.type for block in reply.content] == ["text", "tool_use", "tool_use"]
    assert [(block.name, block.input) for block in reply.content[1:]] == calls


async def test_each_request_gets_the_next_reply_and_the_last_is_repeated() -> None:
    replies: list[Reply] = [text_reply("one"), text_reply("two")]
    engine = FakeEngine(replies=replies)
    client = client_of(engine)
    texts = [(await client.messages.create(**QUESTION)).content[0].text for _ in range(3)]
    assert texts == ["one", "two", "two"]
    assert [request.model for request in engine.requests] == ["fake"] * 3
    assert engine.requests[0].sampling.max_tokens == 50


async def test_a_refusal_reaches_the_client_as_anthropics_error() -> None:
    engine = FakeEngine(refusal=MessagesError("overloaded_error", "The server is busy."))
    with pytest.raises(anthropic.APIStatusError, match="The server is busy") as raised:
        await client_of(engine).messages.create(**QUESTION)
    assert raised.value.status_code == 529
