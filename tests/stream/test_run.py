"""A reply ends with `message_stop` or `error`, whatever happens to its deltas."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stream.playbook import READ, START, compact, end, error, failure, finish, reply, text, text_piece
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.run import encoded_events
from vllm_messages_plugin.wire.errors import MessagesError


async def deltas_of(*deltas: EngineDelta | Exception) -> AsyncIterator[EngineDelta]:
    for delta in deltas:
        if isinstance(delta, Exception):
            raise delta
        yield delta


async def run(*deltas: EngineDelta | Exception) -> list[Any]:
    return [
        compact(event)
        async for together in encoded_events(reply(), deltas_of(*deltas), list)
        for event in together
    ]


async def test_the_events_of_one_delta_come_together() -> None:
    batches = [
        len(batch)
        async for batch in encoded_events(
            reply(), deltas_of(READ, text_piece("a"), text_piece(""), finish()), list
        )
    ]
    assert batches == [1, 2, 3]


async def test_nothing_is_read_after_the_end() -> None:
    assert await run(READ, text_piece("a"), finish(), ValueError("read too far")) == [
        START,
        *text(0, "a"),
        *end("end_turn"),
    ]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ((failure("gone"),), error("gone")),
        ((), error("The reply ended unexpectedly")),
        ((MessagesError("overloaded_error", "busy"),), error("busy", "overloaded_error")),
        ((ValueError("a secret"),), error("Internal server error")),
        ((READ,), error("Internal server error")),
    ],
    ids=["failed", "broken-off", "our-error", "a-bug", "illegal-order"],
)
async def test_a_reply_that_breaks_ends_with_an_error(last: tuple[Any, ...], expected: list[Any]) -> None:
    assert await run(READ, text_piece("a"), *last) == [START, *text(0, "a"), *expected]


async def test_what_is_raised_before_the_prompt_is_read_is_an_error_too() -> None:
    assert await run(MessagesError("overloaded_error", "busy")) == error("busy", "overloaded_error")


async def test_closing_the_events_closes_the_deltas() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[EngineDelta]:
        try:
            yield READ
            await asyncio.Event().wait()
        finally:
            closed.set()

    running = encoded_events(reply(), source(), list)
    assert await anext(running)
    await running.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(closed.wait(), timeout=5)
