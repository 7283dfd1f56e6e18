"""The official Python SDK against the live server: its helpers, on scripted output."""

from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

from vllm_messages_plugin.testing.server import Server

USER: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
PLAY = [
    {"when": "7 degrees.*assistant", "say": "It is 7 degrees in Oslo."},
    {"when": "weather in Oslo", "say": "I look it up.\n" + CALL},
]


@beta_tool
def get_weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"7 degrees in {city}"


def test_create_has_the_request_id(anthropic_client: anthropic.Anthropic) -> None:
    reply = anthropic_client.messages.create(
        model="tiny", max_tokens=20, messages=USER, extra_body={"vllm_xargs": {"script": "Cold."}}
    )
    assert (reply.content[0].text, reply.role, reply.type) == ("Cold.", "assistant", "message")
    assert reply._request_id is not None
    assert reply._request_id.startswith("req_")


def test_raw_events_are_typed(anthropic_client: anthropic.Anthropic) -> None:
    events = anthropic_client.messages.create(
        model="tiny",
        max_tokens=20,
        messages=USER,
        stream=True,
        extra_body={"vllm_xargs": {"script": "Cold."}},
    )
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_finishes_a_two_step_loop(
    server: Server, anthropic_client: anthropic.Anthropic, stream: bool
) -> None:
    """It asks for message threads first and goes on without them when told so."""
    with server.playbook(PLAY):
        runner = anthropic_client.beta.messages.tool_runner(
            model="tiny", max_tokens=100, tools=[get_weather], messages=USER, stream=stream
        )
        replies = [step.get_final_message() if stream else step for step in runner]
    assert [reply.stop_reason for reply in replies] == ["tool_use", "end_turn"]
    assert replies[-1].content[0].text == "It is 7 degrees in Oslo."


def test_errors_have_their_classes(anthropic_client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        anthropic_client.messages.create(model="nope", max_tokens=5, messages=USER)
    assert missing.value.body["error"]["message"] == "model: nope"
    long = [{"role": "user", "content": "word " * 140_000}]
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        anthropic_client.messages.create(model="tiny", max_tokens=5, messages=long)


async def test_the_async_client_streams(server: Server) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=server.url, api_key="x", max_retries=0) as client,
        client.messages.stream(
            model="tiny", max_tokens=20, messages=USER, extra_body={"vllm_xargs": {"script": "Cold it is."}}
        ) as stream,
    ):
        assert "".join([text async for text in stream.text_stream]) == "Cold it is."
