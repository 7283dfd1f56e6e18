"""Test a program that talks to a model, without a model, a server or a network.

    pip install vllm-messages-plugin anthropic pytest
    pytest offline_test.py

The first part is a small agent, the second its tests. The routes are the plugin's own, so requests are
checked and replies are streamed as on a real server; what the model replies is written in the test.
"""

import asyncio

import anthropic
import httpx2  # the HTTP library of Anthropic's SDK; installed with it
import pytest

from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.testing.replies import text_reply, tool_call_reply
from vllm_messages_plugin.wire.errors import MessagesError

WEATHER_TOOL = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def ask_about_weather(client: anthropic.AsyncAnthropic, question: str) -> str:
    """The program under test: asks, runs the tool as long as the model calls it, returns the answer."""
    messages = [{"role": "user", "content": question}]
    while True:
        reply = await client.messages.create(
            model="fake", max_tokens=200, messages=messages, tools=[WEATHER_TOOL]
        )
        calls = [block for block in reply.content if block.type == "tool_use"]
        if not calls:
            return reply.content[0].text
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": f"Sunny in {call.input['city']}"}
            for call in calls
        ]
        messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": results}]


def run(engine: FakeEngine, question: str) -> str:
    """Run the program against the plugin's routes in this process."""
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app_with(engine)))
    client = anthropic.AsyncAnthropic(base_url="http://test", api_key="x", max_retries=0, http_client=http)
    return asyncio.run(ask_about_weather(client, question))


def test_the_tool_is_run_and_its_result_is_sent_back():
    engine = FakeEngine(
        replies=[
            tool_call_reply(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})),
            text_reply("Sunny in both."),
        ]
    )
    assert run(engine, "Weather in Oslo and Rome?") == "Sunny in both."
    last = engine.requests[-1].conversation.messages
    assert [message["content"] for message in last if message["role"] == "tool"] == [
        "Sunny in Oslo",
        "Sunny in Rome",
    ]


def test_an_overloaded_server_is_reported():
    engine = FakeEngine(refusal=MessagesError("overloaded_error", "The server is busy."))
    with pytest.raises(anthropic.APIStatusError, match="busy") as raised:
        run(engine, "Weather in Oslo?")
    assert raised.value.status_code == 529
