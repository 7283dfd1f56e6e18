"""Overload and shutdown: requests that can't be served soon are refused at once."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.http.admission import MAX_RETRY_SECONDS, Admission
from vllm_messages_plugin.stream.deltas import EngineText, ReplyFailed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, Pause, app_with
from vllm_messages_plugin.wire.errors import MessagesError

HELLO = (EngineText("Hello"), ReplyFinished("stop", 1))
ASK: dict[str, Any] = {"model": "fake", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}


def client(engine: FakeEngine, admission: Admission) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app_with(engine, admission=admission))
    return httpx.AsyncClient(transport=transport, base_url="http://server")


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_above_the_limit_are_refused_while_the_others_are_served(stream: bool) -> None:
    async with client(FakeEngine((Pause(0.3), *HELLO)), Admission(limit=4)) as http:
        posts = [http.post("/v1/messages", json=ASK | {"stream": stream}) for _ in range(20)]
        replies = await asyncio.gather(*posts)
        later = await http.post("/v1/messages", json=ASK)
    refused = [reply for reply in replies if reply.status_code != 200]
    assert [reply.status_code for reply in refused] == [529] * 16
    assert {reply.json()["error"]["type"] for reply in refused} == {"overloaded_error"}
    assert all(1 <= int(reply.headers["retry-after"]) <= MAX_RETRY_SECONDS for reply in refused)
    assert later.status_code == 200


async def test_a_refusal_does_not_wait_for_the_body() -> None:
    app, sent = app_with(FakeEngine(), admission=Admission(limit=0)), []

    async def never() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [], "query_string": b""}
    await asyncio.wait_for(app(scope, never, send), 5)
    assert sent[0]["status"] == 529


async def test_token_counts_have_a_bound_of_their_own() -> None:
    async with client(FakeEngine((Pause(0.3), *HELLO)), Admission(limit=1)) as http:
        reply = asyncio.ensure_future(http.post("/v1/messages", json=ASK))
        await asyncio.sleep(0.05)
        counted = await http.post("/v1/messages/count_tokens", json=ASK)
        assert (counted.status_code, (await reply).status_code) == (200, 200)


async def test_a_server_that_shuts_down_finishes_its_replies_and_refuses_new_ones() -> None:
    admission = Admission()
    async with client(FakeEngine((Pause(0.2), *HELLO)), admission) as http:
        running = asyncio.ensure_future(http.post("/v1/messages", json=ASK | {"stream": True}))
        await asyncio.sleep(0.05)
        admission.shut_down()
        refused = await http.post("/v1/messages", json=ASK)
        models = await http.get("/v1/models")
        assert "message_stop" in (await running).text
    assert (refused.status_code, refused.json()["error"]["type"]) == (529, "overloaded_error")
    assert "shutting down" in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) >= 1
    assert models.status_code == 200


@pytest.mark.parametrize("seconds_left", [0.0, 30.0], ids=["silent engine", "engine that reports its end"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_is_open_when_the_engine_stops_ends_with_an_error(
    monkeypatch: pytest.MonkeyPatch, stream: bool, seconds_left: float
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.keep_alive.STOP_SECONDS", seconds_left)
    failure = ReplyFailed(MessagesError("overloaded_error", "The engine stopped"))
    engine = FakeEngine((EngineText("Hel"), Pause(0.5 if seconds_left else 60), failure))
    admission = Admission()
    async with client(engine, admission) as http:
        running = asyncio.ensure_future(http.post("/v1/messages", json=ASK | {"stream": stream}))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(admission.stop, asyncio.get_running_loop())
        reply = await asyncio.wait_for(running, 10)
    assert engine.closed.is_set() or seconds_left
    expected = "The engine stopped" if seconds_left else "The server is shutting down"
    assert expected in reply.text
    if stream:
        assert "event: error" in reply.text.strip().split("\n\n")[-1]
    else:
        assert (reply.status_code, reply.json()["error"]["type"]) == (529, "overloaded_error")


class ClosedEngine(FakeEngine):
    """An engine whose thread pools are closed, as vLLM's are once it shuts down."""

    admission: Admission

    async def render(self, conversation: Any, extra: Any) -> Any:
        self.admission.shut_down()
        raise RuntimeError("cannot schedule new futures after shutdown")


async def test_a_request_that_fails_because_of_the_shutdown_may_be_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, admission = ClosedEngine(), Admission()
    engine.admission = admission
    async with client(engine, admission) as http:
        reply = await http.post("/v1/messages", json=ASK)
    assert (reply.status_code, reply.json()["error"]["type"]) == (529, "overloaded_error")
    assert caplog.text == ""


@given(st.lists(st.sampled_from(["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/x"])))
def test_the_counts_return_to_zero(paths: list[str]) -> None:
    admission = Admission(limit=1)
    for path in paths:
        assert admission.refusal(path) is None
        with pytest.raises(ValueError, match="within"), admission.in_flight(path):
            raise ValueError("within")
