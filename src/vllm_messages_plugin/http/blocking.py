"""Calls functions whose work may block the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def call(in_thread: bool, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function, in a thread if its work would block the event loop."""
    return await asyncio.to_thread(function, *arguments) if in_thread else function(*arguments)
