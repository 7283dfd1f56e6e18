"""The official Python SDK against the live server: its helpers, on scripted output."""

from enum import StrEnum
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import beta_tool
from pydantic import BaseModel

from clients.replies import (
    LARGE_WINDOW,
    PARSED,
    SMALL_WINDOW,
    Case,
    Json,
    ParseCase,
    by_api,
    is_as_scripted,
    raw_reply,
    table,
    without_ids,
)
from support.server import Server

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


# Every kind of block.


def replies(client: anthropic.Anthropic, api: str, asked: Json, headers: dict[str, str]) -> list[Json]:
    """Return the SDK's messages from a collected reply and from its stream."""
    messages: Any = client.beta.messages if api == "beta" else client.messages
    extra = {"extra_body": {"vllm_xargs": asked["vllm_xargs"]}, "extra_headers": headers}
    known = {key: value for key, value in asked.items() if key != "vllm_xargs"}
    whole = messages.create(**known, **extra)
    with messages.stream(**known, **extra) as events:
        return [whole.to_dict(), events.get_final_message().to_dict()]


@by_api(LARGE_WINDOW)
def test_a_reply_is_the_same_streamed_and_not(
    http: httpx.Client, anthropic_client: anthropic.Anthropic, case: Case, api: str
) -> None:
    raw = raw_reply(http, case, "tiny")
    is_as_scripted(raw, case)
    for message in replies(anthropic_client, api, case.body("tiny"), case.headers):
        assert without_ids(message) == without_ids(raw)


@by_api(SMALL_WINDOW)
def test_a_reply_at_the_end_of_the_window_is_the_same_streamed_and_not(
    strict_server: Server, strict_http: httpx.Client, case: Case, api: str
) -> None:
    raw = raw_reply(strict_http, case, "tiny")
    is_as_scripted(raw, case)
    key = strict_http.headers["x-api-key"]
    with anthropic.Anthropic(base_url=strict_server.url, api_key=key, max_retries=0, timeout=120) as client:
        for message in replies(client, api, case.body("tiny"), case.headers):
            assert without_ids(message) == without_ids(raw)


# Structured outputs.


class Kind(StrEnum):
    WADER = "wader"
    DUCK = "duck"


class Nest(BaseModel):
    place: str
    eggs: int


class Bird(BaseModel):
    name: str
    kind: Kind
    nests: list[Nest]
    mate: "Bird | None" = None


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", ["messages", "beta"])
@table(PARSED)
def test_parse_gives_the_object(
    anthropic_client: anthropic.Anthropic, case: ParseCase, api: str, streamed: bool
) -> None:
    messages: Any = anthropic_client.beta.messages if api == "beta" else anthropic_client.messages
    asked = case.body("tiny")
    asked["extra_body"] = {"vllm_xargs": asked.pop("vllm_xargs")}
    if streamed:
        with messages.stream(output_format=Bird, **asked) as events:
            message = events.get_final_message()
    else:
        message = messages.parse(output_format=Bird, **asked)
    assert [block.type for block in message.content] == list(case.kinds)
    assert message.parsed_output == (case.parsed and Bird.model_validate(case.parsed))


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
