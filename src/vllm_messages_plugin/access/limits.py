"""Rate limits of named keys: requests and tokens in fixed windows of a minute, and requests at once.

The counters are the `limits` library's, in memory or in Redis. A window begins with a key's first request and
ends 60 seconds later. Tokens are charged when a reply has ended, with what it really used, so a key may
exceed its limit once and then waits for the window's end. What the prefix cache held is not charged, as at
Anthropic. If Redis fails, the counters in memory take over until it responds again.
"""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vllm_messages_plugin.access.keys import ApiKey
from vllm_messages_plugin.wire.errors import MessagesError

log = logging.getLogger("vllm.messages")

REDIS_SECONDS: Final = 0.5
"""How long Redis may take for one command."""
RETRY_REDIS_SECONDS: Final = 5.0
"""How long the counters in memory are used after Redis failed."""
MAX_RETRY_SECONDS: Final = 4
"""A key at its limit of requests at once is told to wait 1 to this many seconds, at random."""

MISSING: Final = "requests_per_minute and tokens_per_minute need: pip install 'vllm-messages-plugin[fleet]'"


@dataclass(frozen=True, slots=True)
class Window:
    """The state of one limit: what is left, and the time (Unix, seconds) at which the window ends."""

    limit: int
    remaining: int
    reset: float

    def headers(self, name: str) -> dict[str, str]:
        """Return the state as Anthropic's response headers write it."""
        reset = datetime.fromtimestamp(int(self.reset), UTC)
        return {
            f"anthropic-ratelimit-{name}-limit": str(self.limit),
            f"anthropic-ratelimit-{name}-remaining": str(self.remaining),
            f"anthropic-ratelimit-{name}-reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}",
        }


class RateLimiter:
    """The counters of all keys."""

    def __init__(self, redis_url: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """Connect to the counters.

        Args:
            redis_url: Where all replicas count; empty for counters of this process alone.
            clock: Returns the time in seconds.

        Raises:
            ImportError: The `limits` or the `redis` package is missing.
        """
        from limits.aio.storage import MemoryStorage, RedisStorage
        from limits.aio.strategies import FixedWindowRateLimiter

        self._memory = FixedWindowRateLimiter(MemoryStorage())
        self._redis: Any = None
        self._shared: FixedWindowRateLimiter | None = None
        if redis_url:
            storage = RedisStorage(
                f"async+{redis_url}", implementation="redispy", key_prefix="vllm-messages",
                socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS,
            )  # fmt: skip
            self._shared = FixedWindowRateLimiter(storage)
            bridge: Any = storage.bridge
            self._redis = bridge.storage
        self._clock = clock
        self._redis_failed = -RETRY_REDIS_SECONDS

    async def count_request(self, key: ApiKey, cost: int = 1) -> Mapping[str, str]:
        """Count a request of a key.

        Args:
            key: The key.
            cost: As how many requests it counts; its tokens must be left in any case.

        Returns:
            The response headers that tell the client its limits.

        Raises:
            MessagesError: 429, a limit is reached.
        """
        windows: dict[str, Window] = {}
        if key.tokens_per_minute is not None:
            windows["tokens"] = await self._window("tokens", key.name, key.tokens_per_minute, 0)
        if key.requests_per_minute is not None:
            windows["requests"] = await self._window("requests", key.name, key.requests_per_minute, cost)
        headers = {
            name: value for kind, state in windows.items() for name, value in state.headers(kind).items()
        }
        for kind, state in windows.items():
            if state.remaining < (1 if kind == "tokens" else 0):
                raise _exceeded(kind, state, headers)
        return headers

    async def charge(self, key: ApiKey, tokens: int) -> None:
        """Charge the tokens that a reply has used."""
        if key.tokens_per_minute is not None and tokens > 0:
            await self._window("tokens", key.name, key.tokens_per_minute, tokens)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _window(self, kind: str, name: str, limit: int, cost: int) -> Window:
        """Add to a counter; `remaining` is -1 if a request exceeds the limit."""
        if self._shared is not None and self._clock() - self._redis_failed >= RETRY_REDIS_SECONDS:
            try:
                return await _add(self._shared, kind, name, limit, cost)
            except Exception as error:  # noqa: BLE001 - whatever Redis or its client raises, requests go on
                self._redis_failed = self._clock()
                log.error(
                    "Rate limits are counted in memory for now: Redis failed (%s)", type(error).__name__
                )
        return await _add(self._memory, kind, name, limit, cost)


async def _add(limiter: Any, kind: str, name: str, limit: int, cost: int) -> Window:
    from limits import RateLimitItemPerMinute

    item = RateLimitItemPerMinute(limit, namespace=kind)
    within = not cost or await limiter.hit(item, name, cost=cost)
    stats = await limiter.get_window_stats(item, name)
    return Window(limit, int(stats.remaining) if within else -1, stats.reset_time)


def _exceeded(kind: str, state: Window, headers: Mapping[str, str]) -> MessagesError:
    wait = max(1, int(state.reset - time.time()) + 1)
    shown = {name: value if value != "-1" else "0" for name, value in headers.items()}
    return MessagesError(
        "rate_limit_error",
        f"Your API key has used its {state.limit} {kind} per minute. Retry in {wait} s",
        retry_after=wait,
        headers=shown,
    )


class Concurrency:
    """Counts the requests of each key that run in this process."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    def running(self, name: str) -> int:
        """Return how many requests of a key run."""
        return self._running[name]

    def begin(self, key: ApiKey) -> None:
        """Count a request that begins; `end` must follow.

        Raises:
            MessagesError: 429, as many as allowed run already.
        """
        if key.max_concurrent is not None and self._running[key.name] >= key.max_concurrent:
            raise MessagesError(
                "rate_limit_error",
                f"Your API key may run {key.max_concurrent} requests at once",
                retry_after=1 + secrets.randbelow(MAX_RETRY_SECONDS),
            )
        self._running[key.name] += 1

    def end(self, key: ApiKey) -> None:
        """Count a request that has ended."""
        self._running[key.name] -= 1
        if self._running[key.name] <= 0:
            del self._running[key.name]
