"""The routes over a fake engine: requests and their responses."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakeModels, Pause, app_with
from vllm_messages_plugin.wire.errors import MessagesError, internal_error

HELLO = (EngineText("Hello"), EngineText(" world"), ReplyFinished("stop", 2))
ASK: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "one two"}],
}


def client(engine: FakeEngine, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app_with(engine, **options)), base_url="http://server"
    )


async def post(engine: FakeEngine, body: dict[str, Any], **options: Any) -> httpx.Response:
    async with client(engine, **options) as http:
        return await http.post("/v1/messages", json=body)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_a_reply_without_streaming_is_one_message() -> None:
    reply = await post(FakeEngine(HELLO), ASK)
    message = reply.json()
    assert reply.status_code == 200
    assert message["content"] == [{"type": "text", "text": "Hello world"}]
    assert message["id"].startswith("msg_")
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"]["input_tokens"] == 2
    assert reply.headers["request-id"].startswith("req_")


async def test_a_streamed_reply_is_the_same_message_as_events() -> None:
    reply = await post(FakeEngine(HELLO), ASK | {"stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["request-id"].startswith("req_")
    assert "content-length" not in reply.headers
    named = events(reply.text)
    assert all(name == data["type"] for name, data in named)
    assert [name for name, _ in named] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_the_reply_names_the_requested_model() -> None:
    engine = FakeEngine(HELLO)
    reply = await post(engine, ASK | {"model": "claude-opus-9[1m]"})
    assert reply.json()["model"] == "claude-opus-9[1m]"
    assert engine.requests[0][2] == "fake"


async def test_aliases_can_be_turned_off() -> None:
    reply = await post(FakeEngine(HELLO), ASK | {"model": "claude-opus-9"}, aliases="")
    assert reply.status_code == 404
    assert reply.json()["error"] == {"type": "not_found_error", "message": "model: claude-opus-9"}


async def test_a_lora_that_a_resolver_finds_is_served() -> None:
    engine = FakeEngine(HELLO, models=FakeModels(loras=("adapter",)))
    assert (await post(engine, ASK | {"model": "adapter"})).status_code == 200
    assert engine.requests[0][2] == "adapter"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_by_the_engine_is_a_status_and_not_a_stream(stream: bool) -> None:
    refusals: Sequence[FakeEngine] = (
        FakeEngine(refusal=MessagesError("overloaded_error", "full", retry_after=2)),
        FakeEngine((MessagesError("overloaded_error", "full", retry_after=2),)),
    )
    for engine in refusals:
        reply = await post(engine, ASK | {"stream": stream})
        assert reply.status_code == 529
        assert reply.json()["error"] == {"type": "overloaded_error", "message": "full"}
        assert reply.headers["retry-after"] == "2"


async def test_a_failure_inside_the_stream_closes_the_block_and_is_an_error_event() -> None:
    engine = FakeEngine((EngineText("Hel"), ReplyFailed(MessagesError("api_error", "broken"))))
    reply = await post(engine, ASK | {"stream": True})
    assert [name for name, _ in events(reply.text)][-2:] == ["content_block_stop", "error"]
    error = events(reply.text)[-1][1]
    assert error["error"] == {"type": "api_error", "message": "broken"}
    assert error["request_id"] == reply.headers["request-id"]


async def test_a_failure_without_streaming_is_a_status() -> None:
    reply = await post(
        FakeEngine((EngineText("Hel"), ReplyFailed(MessagesError("api_error", "broken")))), ASK
    )
    assert reply.status_code == 500
    assert reply.json()["error"] == {"type": "api_error", "message": "broken"}
    assert reply.json()["request_id"] == reply.headers["request-id"]


def above_info(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged besides the line of each request, which vLLM's log settings bring into the log."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unexpected_exception_reveals_no_details_and_is_logged_once(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await post(FakeEngine((EngineText("x"), RuntimeError("secret path"))), ASK | {"stream": stream})
    (record,) = above_info(caplog)
    assert reply.headers["request-id"] in record.getMessage()
    assert "RuntimeError: secret path" in caplog.text
    assert "secret" not in reply.text
    assert "Internal server error" in reply.text


class BrokenRenderer(FakeEngine):
    async def render(self, conversation: Any, extra: Any) -> Any:
        raise ValueError("secret path")


async def test_an_unexpected_exception_before_the_reply_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = await post(BrokenRenderer(), ASK)
    assert (reply.status_code, reply.json()["error"]["message"]) == (500, "Internal server error")
    (record,) = above_info(caplog)
    assert reply.headers["request-id"] in record.getMessage()
    assert "ValueError: secret path" in caplog.text


async def test_a_failure_that_the_engine_reports_is_logged_with_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failure = internal_error(RuntimeError("the cause"))
    reply = await post(FakeEngine((EngineText("x"), ReplyFailed(failure))), ASK)
    (record,) = above_info(caplog)
    assert reply.headers["request-id"] in record.getMessage()
    assert "the cause" in caplog.text


class FailsToClose(FakeEngine):
    async def _play(self, reply: Any, prompt: Any) -> AsyncIterator[EngineDelta]:
        try:
            async for delta in super()._play(reply, prompt):
                yield delta
        finally:
            raise RuntimeError("secret path")


async def test_a_failure_behind_a_complete_reply_is_logged_and_the_reply_ends_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = await post(FailsToClose(HELLO), ASK | {"stream": True})
    (record,) = above_info(caplog)
    assert reply.headers["request-id"] in record.getMessage()
    assert "RuntimeError: secret path" in caplog.text
    assert "message_stop" in reply.text
    assert "Internal server error" not in reply.text


async def test_errors_of_clients_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    await post(FakeEngine(), {"model": "fake"})
    await post(FakeEngine(refusal=MessagesError("overloaded_error", "full")), ASK)
    assert above_info(caplog) == []


async def test_a_reply_without_an_end_is_an_error() -> None:
    reply = await post(FakeEngine((EngineText("x"),)), ASK)
    assert reply.status_code == 500


async def test_max_tokens_is_lowered_to_the_rest_of_the_window() -> None:
    engine = FakeEngine(HELLO, window=100)
    assert (await post(engine, ASK | {"max_tokens": 32_000})).status_code == 200
    assert engine.requests[0][1].max_tokens == 98
    assert engine.requests[0][1].asked_tokens == 32_000


async def test_max_tokens_is_lowered_to_the_operators_limit() -> None:
    engine = FakeEngine(HELLO, most_output=5)
    await post(engine, ASK | {"max_tokens": 32_000})
    assert engine.requests[0][1].max_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_fills_the_window_is_refused_before_the_stream(stream: bool) -> None:
    engine = FakeEngine(HELLO, window=2)
    reply = await post(engine, ASK | {"stream": stream})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "prompt is too long: 2 tokens > 1 maximum"
    assert not engine.requests


async def test_count_tokens_also_counts_above_the_window() -> None:
    async with client(FakeEngine(window=1)) as http:
        reply = await http.post("/v1/messages/count_tokens?beta=true", json=ASK)
    assert reply.json() == {"input_tokens": 2}


async def test_pings_fill_silence_also_before_the_first_event() -> None:
    engine = FakeEngine((Pause(0.35), *HELLO[:2], Pause(0.35), HELLO[2]))
    reply = await post(engine, ASK | {"stream": True}, first_ping_seconds=0.1, ping_seconds=0.1)
    names = [name for name, _ in events(reply.text)]
    assert names.count("ping") >= 3
    assert names.index("message_delta") > names.index("ping")


async def test_a_slow_prompt_opens_the_stream_with_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.messages.ADMISSION_SECONDS", 0.05)
    engine = FakeEngine((Pause(0.5), *HELLO))
    reply = await post(engine, ASK | {"stream": True}, first_ping_seconds=0.1, ping_seconds=0.1)
    assert events(reply.text)[0][0] == "ping"
    assert next(name for name, _ in events(reply.text) if name != "ping") == "message_start"


async def test_a_refusal_after_the_admission_time_is_an_error_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.messages.ADMISSION_SECONDS", 0.01)
    engine = FakeEngine((Pause(0.1), MessagesError("overloaded_error", "full")))
    reply = await post(engine, ASK | {"stream": True})
    assert [name for name, _ in events(reply.text)] == ["error"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_disconnect_aborts_the_reply(stream: bool) -> None:
    engine = FakeEngine((PromptProcessed(1, 0), EngineText("x"), Pause(30), *HELLO))
    body = json.dumps(ASK | {"stream": stream}).encode()
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [], "query_string": b""}
    call = asyncio.ensure_future(app_with(engine)(scope | {"root_path": ""}, inbox.get, send))
    await asyncio.sleep(0.1)
    inbox.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(call, 5)
    assert engine.closed.is_set()


async def test_tool_calls_are_streamed_in_pieces() -> None:
    call = (EngineToolCall(0, "f", '{"a":'), EngineToolCall(0, arguments="1}"), ReplyFinished("stop", 5))
    reply = await post(FakeEngine(call), ASK | {"stream": True})
    pieces = [d["delta"]["partial_json"] for n, d in events(reply.text) if n == "content_block_delta"]
    assert pieces == ["", '{"a":', "1}"]


async def test_models_can_be_paged_and_found_by_alias() -> None:
    async with client(FakeEngine(models=FakeModels(served=("a", "b", "c")))) as http:
        page = (await http.get("/v1/models?limit=2")).json()
        rest = (await http.get(f"/v1/models?limit=2&after_id={page['last_id']}")).json()
        one = (await http.get("/v1/models/claude-x")).json()
        none = await http.get("/v1/models/zzz")
        bad = await http.get("/v1/models?limit=0")
    assert ([m["id"] for m in page["data"]], page["has_more"]) == (["a", "b"], True)
    assert ([m["id"] for m in rest["data"]], rest["has_more"]) == (["c"], False)
    assert one["id"] == "a"
    assert (none.status_code, none.json()["error"]["message"]) == (404, "model: zzz")
    assert (bad.status_code, bad.json()["error"]["message"][:6]) == (400, "limit:")


@pytest.mark.parametrize("path", ["/", "/api/hello"])
async def test_head_probes_are_answered(path: str) -> None:
    async with client(FakeEngine()) as http:
        reply = await http.head(path)
    assert reply.status_code == 200
    assert reply.headers["request-id"].startswith("req_")


@pytest.mark.parametrize("count", [1, 2_000], ids=["in the event loop", "in a thread"])
async def test_requests_of_any_size_take_the_same_way(count: int) -> None:
    engine = FakeEngine(HELLO, window=100_000)
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}] * count
    body = ASK | {"messages": [*turns, *ASK["messages"]], "diagnostics": {"previous_message_id": None}}
    reply = await post(engine, body)
    assert reply.status_code == 200
    assert reply.json()["usage"]["input_tokens"] == 2 * count + 2


async def test_a_body_with_too_many_values_is_a_413() -> None:
    reply = await post(FakeEngine(), ASK | {"unknown": [{}] * 100_001})
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "request_too_large")
    assert reply.json()["error"]["message"] == "Request has more than 100000 objects in its JSON"
