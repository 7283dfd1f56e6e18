"""Frees the objects of a large request little by little.

When the last reference to a conversation goes, the interpreter frees all its objects in one step, in which it
serves nobody else: 100,000 messages, with what was made of them, take 50 ms. So `hold_parts` keeps a list of
its own of their parts. The conversation is then freed in no time, because its parts are still referred to.
When the request has ended, a thread takes them from the list slice by slice; between slices others get their
turn.
"""

import asyncio
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final

MANY_OBJECTS: Final = 2_000
"""JSON objects in a body from which on its parts are kept. Freeing fewer takes about a millisecond."""

SLICE: Final = 500
"""Parts that are freed in one step. A usual message or block takes a microsecond."""

_HELD: Final = "vllm_messages.held_parts"
"""The key of a request's scope under which its parts are kept."""

Scope = MutableMapping[str, Any]


def begin_hold(objects: int, scope: Scope) -> None:
    """Make `hold_parts` keep the parts of a request, if its body has many objects.

    Args:
        objects: The number of JSON objects in the body, or more.
        scope: The request's scope.
    """
    if objects > MANY_OBJECTS:
        scope.setdefault(_HELD, [])


def hold_parts(scope: Scope, *collections: Iterable[object] | None) -> None:
    """Keep the items of collections, and those of their `content`, if the request's parts are kept.

    Args:
        scope: The request's scope.
        collections: Messages, blocks or tools, typed ones or mappings.
    """
    held: list[object] | None = scope.get(_HELD)
    if held is None:
        return
    for collection in collections:
        for item in collection or ():
            held.append(item)
            content = item.get("content") if isinstance(item, Mapping) else getattr(item, "content", None)
            if isinstance(content, list):
                held += content


async def release_parts(scope: Scope) -> None:
    """Free what was kept of a request, in a thread."""
    held: list[object] = scope.pop(_HELD, [])
    if held:
        await asyncio.to_thread(free, held)


def free(items: list[Any]) -> None:
    """Empty a list slice by slice, so that each step frees few objects."""
    while items:
        del items[-SLICE:]
