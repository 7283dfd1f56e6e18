"""Two keys on one server through the official SDK: limits, models, metrics and the request log."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.key_editing import with_key
from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import digest_of
from vllm_messages_plugin.access.limits import RateLimiter
from vllm_messages_plugin.access.metrics import Metrics
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.stream.deltas import EngineText, EngineToolCall, PromptProcessed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakeModels, Pause, app_with

HELLO = (PromptProcessed(50, 40), EngineText("A secret word"), ReplyFinished("stop", 7, 3))
ASK: Any = {"model": "fake", "max_tokens": 10, "messages": [{"role": "user", "content": "A private thing"}]}


class Team:
    """A server with two keys, and its metrics."""

    def __init__(
        self, path: Path, engine: FakeEngine, admission: Admission | None = None, **alice: Any
    ) -> None:
        self.registry = CollectorRegistry()
        text = with_key("", {"name": "alice", "sha256": digest_of("key-a").hex(), **alice})
        file = path / "keys.toml"
        file.write_text(with_key(text, {"name": "bob", "sha256": digest_of("key-b").hex()}))
        accounting = Accounting(RateLimiter(), Metrics(self.registry))
        self.app = app_with(engine, key_file=KeyFile(file), accounting=accounting, admission=admission)

    @asynccontextmanager
    async def client(self, key: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
        async with (
            httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app)) as http,
            anthropic.AsyncAnthropic(
                base_url="http://t", api_key=key, max_retries=0, http_client=http
            ) as sdk,
        ):
            yield sdk

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"vllm_messages_{name}", labels)

    def tokens(self, key: str) -> list[float | None]:
        kinds = ("input", "cached", "output", "thinking")
        return [self.value("tokens_total", kind=kind, key=key, model="fake") for kind in kinds]


async def test_one_key_is_limited_while_the_other_runs(tmp_path: Path) -> None:
    team = Team(tmp_path, FakeEngine(HELLO), requests_per_minute=1)
    async with team.client("key-a") as alice, team.client("key-b") as bob:
        first = await alice.messages.with_raw_response.create(**ASK)
        assert first.headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(anthropic.RateLimitError) as refused:
            await alice.messages.create(**ASK)
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 61
        assert refused.value.response.headers["anthropic-ratelimit-requests-limit"] == "1"
        await bob.messages.create(**ASK)
        await bob.messages.create(**ASK)
        await alice.messages.count_tokens(model="fake", messages=ASK["messages"])
    assert (team.tokens("alice"), team.tokens("bob")) == ([10, 40, 7, 3], [20, 80, 14, 6])
    assert team.value("refused_total", reason="rate", key="alice") == 1
    done = {"route": "/v1/messages", "stop_reason": "end_turn", "model": "fake", "status": "200"}
    assert team.value("requests_total", key="bob", **done) == 2
    assert team.value("running", key="bob") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_real_usage_is_charged_after_the_reply(tmp_path: Path, stream: bool) -> None:
    team = Team(tmp_path, FakeEngine(HELLO), tokens_per_minute=30)
    async with team.client("key-a") as alice:
        for remaining in ("30", "13"):
            raw = await alice.messages.with_raw_response.create(**ASK, stream=stream)
            assert raw.headers["anthropic-ratelimit-tokens-remaining"] == remaining
            if stream:
                async for _ in await raw.parse():
                    pass
        with pytest.raises(anthropic.RateLimitError, match="30 tokens per minute"):
            await alice.messages.create(**ASK)


async def test_requests_at_once_are_bounded_by_key_and_freed_by_a_disconnect(tmp_path: Path) -> None:
    started = asyncio.Event()

    class Engine(FakeEngine):
        async def generate(self, *arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
            started.set()
            return await super().generate(*arguments, **keywords)

    team = Team(tmp_path, Engine((EngineText("A"), Pause(60), *HELLO[1:])), max_concurrent=1)
    async with team.client("key-a") as alice:
        running = asyncio.ensure_future(alice.messages.create(**ASK))
        await started.wait()
        with pytest.raises(anthropic.RateLimitError, match="1 requests at once"):
            await alice.messages.create(**ASK)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert team.value("running", key="alice") == 0
    assert team.value("refused_total", reason="concurrency", key="alice") == 1


async def test_a_key_sees_and_uses_its_models_only(tmp_path: Path) -> None:
    engine = FakeEngine(HELLO, models=FakeModels(("fake", "large")))
    team = Team(tmp_path, engine, models=("fak*",))
    async with team.client("key-a") as alice, team.client("key-b") as bob:
        await alice.messages.create(**ASK)
        with pytest.raises(anthropic.NotFoundError, match="model: large"):
            await alice.messages.create(**ASK | {"model": "large"})
        assert [model.id async for model in alice.models.list()] == ["fake"]
        assert [model.id async for model in bob.models.list()] == ["fake", "large"]
        with pytest.raises(anthropic.NotFoundError):
            await alice.models.retrieve("large")
        await bob.messages.create(**ASK | {"model": "large"})


async def test_the_request_log_has_one_line_of_numbers_and_no_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vllm.messages.requests")
    team = Team(tmp_path, FakeEngine(HELLO))
    async with team.client("key-a") as alice:
        sent = await alice.messages.with_raw_response.create(
            **ASK, extra_headers={"x-claude-code-session-id": "s-1"}
        )
    (line,) = [record.getMessage() for record in caplog.records if record.name == "vllm.messages.requests"]
    logged = json.loads(line)
    expected = {
        "request_id": sent.headers["request-id"], "key": "alice", "model": "fake", "session": "s-1",
        "status": 200, "stop_reason": "end_turn", "input_tokens": 10, "cached_tokens": 40, "output_tokens": 7,
    }  # fmt: skip
    assert {name: logged[name] for name in expected} == expected
    assert all(word not in caplog.text for word in ("secret word", "private thing", "key-a"))


async def test_the_request_log_names_the_error_of_a_refused_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vllm.messages.requests")
    team = Team(tmp_path, FakeEngine(HELLO))
    async with team.client("key-a") as alice:
        with pytest.raises(anthropic.NotFoundError):
            await alice.messages.create(**ASK | {"model": "unknown"})
    (line,) = [record.getMessage() for record in caplog.records if record.name == "vllm.messages.requests"]
    logged = json.loads(line)
    assert (logged["status"], logged["error"], logged["stop_reason"]) == (404, "not_found_error", "")


async def test_metrics_count_calls_clamps_refusals_and_no_session(tmp_path: Path) -> None:
    call = (EngineToolCall(0, "f", '{"a": '), ReplyFinished("length", 5))
    team = Team(tmp_path, FakeEngine(call), admission=Admission(1))
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    async with team.client("key-b") as bob:
        headers = {"x-session-id": "one-session"}
        await bob.messages.create(**ASK | {"max_tokens": 5000, "tools": tools}, extra_headers=headers)
        team.app._admission.limit = 0
        with pytest.raises(anthropic.OverloadedError):
            await bob.messages.create(**ASK)
    assert team.value("tool_calls_total", outcome="cut", model="fake") == 1
    assert team.value("clamped_total", model="fake") == 1
    assert team.value("refused_total", reason="queue", key="bob") == 1
    assert team.value("first_event_seconds_count", model="fake") == 1
    assert "one-session" not in generate_latest(team.registry).decode()


async def test_a_client_can_not_make_labels(tmp_path: Path) -> None:
    team = Team(tmp_path, FakeEngine(HELLO))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(team.app), base_url="http://t") as http:
        for number in range(5):
            await http.get(f"/v1/messages/{number}", headers={"x-api-key": "key-b"})
            await http.post(
                "/v1/messages", json=ASK | {"model": f"m{number}"}, headers={"x-api-key": "key-b"}
            )
    page = generate_latest(team.registry).decode()
    assert 'route="other"' in page
    assert "m3" not in page


async def test_priorities_reach_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine(HELLO)
    team = Team(tmp_path, engine, priority=10)
    async with team.client("key-a") as alice, team.client("key-b") as bob:
        await alice.messages.create(**ASK, extra_headers={"x-vllm-priority": "-5"})
        await bob.messages.create(**ASK, extra_headers={"x-claude-code-session-id": "s"})
        await bob.messages.create(**ASK, extra_headers={"x-claude-code-agent-id": "s"})
    assert [request.priority for request in engine.requests] == [10, -1, 5]
