"""Runs work in the background for as long as an app is up, from its lifespan's start to its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("vllm.messages")

RESTART_SECONDS: Final = 10.0
"""After how long work that failed begins again."""


class WithBackground:
    """An ASGI app with work beside it. A failure of the work is logged and never reaches the app."""

    def __init__(self, app: ASGIApp, work: Callable[[], Awaitable[None]]) -> None:
        """Join them.

        Args:
            app: The app.
            work: Runs until it is canceled.
        """
        self._app = app
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        task = asyncio.create_task(self.run())
        try:
            await self._app(scope, receive, send)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run(self) -> None:
        """Run the work until canceled."""
        while True:
            try:
                await self._work()
            except Exception:
                log.exception("The work on batches failed; it goes on in %.0f s", RESTART_SECONDS)
            await asyncio.sleep(RESTART_SECONDS)
