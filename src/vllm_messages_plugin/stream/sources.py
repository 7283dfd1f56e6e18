"""Sources hand their items to a function as they come, instead of being asked for each.

How it works and why. Each token of each stream passes here. An asynchronous iterator costs a future, an event
and a task that wakes up for each of its items, and a frame to resume for each layer above it: together more
than everything else that is done for a token. A source calls a function from the event loop, and nothing
waits. `Iterated` makes a source of an iterator, for what is no hot path.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Given = TypeVar("Given", contravariant=True)
Handed = TypeVar("Handed", covariant=True)


class Handler(Protocol[Given]):
    """Takes an item; returns whether it wants more of them."""

    def __call__(self, item: Given, /) -> bool: ...


class Source(Protocol[Handed]):
    """Hands items to a function as they come."""

    async def deliver(self, handle: Handler[Handed]) -> None:
        """Hand on all items, until there are no more or `handle` returns False. Then close the source.

        Args:
            handle: Takes an item. What it raises is raised here.
        """
        ...

    def pause(self) -> None:
        """Hand on nothing until `resume`; `handle` may call this."""
        ...

    def resume(self) -> None:
        """Go on after `pause`."""
        ...


class Iterated(Generic[Item]):
    """The items of an asynchronous iterator."""

    def __init__(self, items: AsyncIterator[Item]) -> None:
        self._items = items
        self._resumed: asyncio.Event | None = None  # set while paused

    async def deliver(self, handle: Handler[Item]) -> None:
        """Hand on the items; see `Source.deliver`."""
        try:
            async for item in self._items:
                if not handle(item):
                    return
                if self._resumed is not None:
                    await self._resumed.wait()
        finally:
            await close(self._items)

    def pause(self) -> None:
        """Do not ask the iterator for another item until `resume`."""
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None


async def close(items: AsyncIterator[object]) -> None:
    """Close an iterator now rather than at garbage collection, so that the engine aborts the request."""
    aclose: Callable[[], object] | None = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()  # type: ignore[misc]
