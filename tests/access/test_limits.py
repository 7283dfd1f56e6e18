"""Requests and tokens a minute, in memory and in a real Redis."""

import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from support.loopback import free_port, running
from vllm_messages_plugin.access.keys import ApiKey
from vllm_messages_plugin.access.limits import MAX_RETRY_SECONDS, Concurrency, RateLimiter
from vllm_messages_plugin.wire.errors import MessagesError


def key(name: str = "alice", **limits: int) -> ApiKey:
    return ApiKey.model_validate({"name": name, "sha256": "0" * 64, **limits})


class WallClock:
    """The time of day that the `limits` library reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    port = free_port()
    directory = tmp_path_factory.mktemp("redis")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory)]
    with (directory / "log").open("wb") as log, running([program, *options], port, log):
        yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def aclosing_limiter(url: str) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(url)
    try:
        yield limiter
    finally:
        await limiter.close()


async def test_requests_beyond_the_limit_wait_for_the_end_of_the_minute(wall: WallClock) -> None:
    limiter, alice, bob = RateLimiter(), key(requests_per_minute=2), key("bob", requests_per_minute=2)
    remaining = [
        (await limiter.count_request(alice))["anthropic-ratelimit-requests-remaining"] for _ in range(2)
    ]
    assert remaining == ["1", "0"]
    wall.now += 20
    with pytest.raises(MessagesError) as refused:
        await limiter.count_request(alice)
    assert (refused.value.status, refused.value.kind) == (429, "rate_limit_error")
    assert refused.value.retry_after is not None
    assert 39 <= refused.value.retry_after <= 41
    assert refused.value.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert refused.value.headers["anthropic-ratelimit-requests-remaining"] == "0"
    await limiter.count_request(bob)
    wall.now += refused.value.retry_after
    await limiter.count_request(alice)


async def test_a_key_that_has_used_its_tokens_waits(wall: WallClock) -> None:
    limiter, alice = RateLimiter(), key(tokens_per_minute=100)
    headers = await limiter.count_request(alice)
    assert headers["anthropic-ratelimit-tokens-remaining"] == "100"
    await limiter.charge(alice, 99)
    await limiter.count_request(alice)
    await limiter.charge(alice, 5000)
    with pytest.raises(MessagesError, match="100 tokens per minute"):
        await limiter.count_request(alice)
    wall.now += 61
    await limiter.count_request(alice)


async def test_a_key_without_limits_has_no_headers() -> None:
    assert await RateLimiter().count_request(key()) == {}


async def test_replicas_share_their_counters_in_redis(redis_url: str) -> None:
    alice, bob = key(requests_per_minute=3), key("bob", tokens_per_minute=1000)
    async with aclosing_limiter(redis_url) as one, aclosing_limiter(redis_url) as two:
        for limiter in (one, two, one):
            headers = await limiter.count_request(alice)
        assert headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(MessagesError) as refused:
            await two.count_request(alice)
        assert refused.value.retry_after is not None
        assert 1 <= refused.value.retry_after <= 61
        await one.charge(bob, 1000)
        with pytest.raises(MessagesError, match="1000 tokens"):
            await two.count_request(bob)


async def test_without_redis_each_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limiter = RateLimiter("redis://:hidden@127.0.0.1:9/0", clock=lambda: now)
    alice = key(requests_per_minute=2)
    await limiter.count_request(alice)
    await limiter.count_request(alice)
    with pytest.raises(MessagesError):
        await limiter.count_request(alice)
    assert caplog.text.count("Redis failed") == 1
    assert "hidden" not in caplog.text
    now = 6.0
    with pytest.raises(MessagesError):
        await limiter.count_request(alice)
    assert caplog.text.count("Redis failed") == 2


def test_the_requests_at_once_are_bounded_and_freed() -> None:
    running, alice = Concurrency(), key(max_concurrent=1)
    running.begin(alice)
    with pytest.raises(MessagesError) as refused:
        running.begin(alice)
    assert refused.value.status == 429
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= MAX_RETRY_SECONDS
    running.begin(key("bob", max_concurrent=1))
    running.end(alice)
    running.begin(alice)
    assert running.running("alice") == 1
