"""An ASGI middleware that vLLM loads by name (`--middleware bench.probe.Probe`): the CPU time of each answer.

Its headers report what the server's process had used when the answer began, since the request came, and
until the engine got the request. It sees vLLM's own routes and ours alike.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

USED = "x-bench-cpu"
ANSWERED = "x-bench-answered"
HANDED_OVER = "x-bench-handed-over"


@dataclass
class Clock:
    """The CPU time of the process at the steps of one request."""

    came: float = field(default_factory=time.process_time)
    handed_over: float | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What is headers of the request so far, in seconds."""
        now = time.process_time()
        headers = {USED: now, ANSWERED: now - self.came}
        if self.handed_over is not None:
            headers[HANDED_OVER] = self.handed_over - self.came
        return [(name.encode(), f"{seconds:.9f}".encode()) for name, seconds in headers.items()]


_clock: ContextVar[Clock | None] = ContextVar("bench_clock", default=None)


class Probe:
    """Wraps the app."""

    def __init__(self, app: Any) -> None:
        from vllm.v1.engine.core_client import AsyncMPClient

        self._app = app
        AsyncMPClient.add_request_async = _watched(AsyncMPClient.add_request_async)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = Clock()
        _clock.set(clock)

        async def send_with_times(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *clock.headers()]}
            await send(message)

        await self._app(scope, receive, send_with_times)


def _watched(add_request: Callable[..., Any]) -> Callable[..., Any]:
    """The engine client's method, noting when a request comes to it."""

    @wraps(add_request)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        clock = _clock.get()
        if clock is not None and clock.handed_over is None:
            clock.handed_over = time.process_time()
        return await add_request(*args, **kwargs)

    return watched
