"""The official SDK raises the right class for each error, retries where that helps and sees request ids."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import anthropic
import httpx2
import pytest
from anthropic.types.thread_unsupported_request_error import ThreadUnsupportedRequestError

from vllm_messages_plugin.stream.deltas import EngineText, ReplyFailed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.wire.errors import ErrorKind, MessagesError

HELLO = (EngineText("Hello"), ReplyFinished("stop", 1))
ASK: Any = {"model": "fake", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}

CLASSES: dict[ErrorKind, tuple[int, type[anthropic.APIStatusError], int]] = {
    "invalid_request_error": (400, anthropic.BadRequestError, 1),
    "authentication_error": (401, anthropic.AuthenticationError, 1),
    "permission_error": (403, anthropic.PermissionDeniedError, 1),
    "not_found_error": (404, anthropic.NotFoundError, 1),
    "request_too_large": (413, anthropic.ContentTooLargeError, 1),
    "rate_limit_error": (429, anthropic.RateLimitError, 3),
    "api_error": (500, anthropic.InternalServerError, 3),
    "not_supported": (501, anthropic.HTTPNotImplementedError, 1),
    "timeout_error": (504, anthropic.GatewayTimeoutError, 3),
    "overloaded_error": (529, anthropic.OverloadedError, 3),
}
"""Per error type: its status, the SDK's exception class, and its requests with two retries."""


class CountingTransport(httpx2.ASGITransport):
    """Counts the SDK's requests and removes the waits between its retries."""

    sent = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent += 1
        response = await super().handle_async_request(request)
        response.headers["retry-after-ms"] = "1"
        return response


@asynccontextmanager
async def sdk(
    engine: FakeEngine, retries: int = 0, **options: Any
) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, CountingTransport]]:
    transport = CountingTransport(app_with(engine, **options))
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        anthropic.AsyncAnthropic(
            base_url="http://server", api_key="x", max_retries=retries, http_client=http
        ) as client,
    ):
        yield client, transport


def test_every_error_type_has_a_row() -> None:
    assert set(CLASSES) == set(get_args(ErrorKind))


@pytest.mark.parametrize("streamed", [False, True], ids=["one message", "streamed"])
@pytest.mark.parametrize("kind", CLASSES)
async def test_an_error_raises_its_class_and_is_retried_only_where_that_helps(
    kind: ErrorKind, streamed: bool
) -> None:
    status, expected, tries = CLASSES[kind]
    async with sdk(FakeEngine(refusal=MessagesError(kind, "no")), retries=2) as (client, transport):
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.messages.create(**ASK, stream=streamed)
    error = raised.value
    assert (type(error), error.status_code, error.type) == (expected, status, kind)
    assert error.body == {
        "type": "error",
        "error": {"type": kind, "message": "no"},
        "request_id": error.request_id,
    }
    assert error.request_id.startswith("req_")
    assert transport.sent == tries


async def test_a_thread_is_refused_with_the_sdks_own_class() -> None:
    async with sdk(FakeEngine(HELLO)) as (client, _):
        with pytest.raises(ThreadUnsupportedRequestError):
            await client.beta.messages.create(**ASK, thread={"type": "create"})


async def test_a_tool_runner_continues_without_a_thread_after_one_refusal() -> None:
    engine = FakeEngine(HELLO)

    @anthropic.beta_async_tool
    async def look() -> str:
        """Look."""
        return "Seen."

    async with sdk(engine) as (client, transport):
        message = await client.beta.messages.tool_runner(**ASK, tools=[look]).until_done()
    assert message.content[0].text == "Hello"
    assert (transport.sent, len(engine.requests)) == (2, 1)


async def test_a_failure_inside_a_stream_is_raised_with_its_body() -> None:
    engine = FakeEngine((EngineText("Hel"), ReplyFailed(MessagesError("overloaded_error", "overloaded"))))
    async with sdk(engine, retries=2) as (client, transport), client.messages.stream(**ASK) as stream:
        assert await anext(stream.text_stream) == "Hel"
        with pytest.raises(anthropic.APIStatusError) as raised:
            await stream.until_done()
    assert raised.value.type == "overloaded_error"
    assert raised.value.body["error"] == {"type": "overloaded_error", "message": "overloaded"}
    assert transport.sent == 1


async def test_an_unknown_route_and_a_missing_batch_are_not_found() -> None:
    async with sdk(FakeEngine(HELLO)) as (client, _):
        for call in (client.messages.batches.list(), client.models.retrieve("zzz")):
            with pytest.raises(anthropic.NotFoundError) as raised:
                await call
            assert raised.value.type == "not_found_error"


async def test_every_reply_has_its_own_request_id() -> None:
    async with sdk(FakeEngine(HELLO)) as (client, _):
        replies = [await client.messages.create(**ASK) for _ in range(2)]
        counted = await client.messages.count_tokens(model="fake", messages=ASK["messages"])
        async with client.messages.stream(**ASK) as stream:
            await stream.until_done()
            ids = [reply._request_id for reply in (*replies, counted)] + [stream.request_id]
    assert len(set(ids)) == 4
    assert all(found is not None and found.startswith("req_") for found in ids)
