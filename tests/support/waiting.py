"""Waits until something holds that no event tells."""

import asyncio
from collections.abc import Callable

SECONDS = 60


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; raise TimeoutError if it does not in time."""
    async with asyncio.timeout(SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)
