"""A large request is freed in slices, after everything else has let go of it."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from vllm_messages_plugin.http import gradual_release
from vllm_messages_plugin.http.gradual_release import (
    MANY_OBJECTS,
    SLICE,
    begin_hold,
    free,
    hold_parts,
    release_parts,
)
from vllm_messages_plugin.stream.deltas import EngineText, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.wire.request import MessageParam, ToolParam

TURNS = [
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {"role": "assistant", "content": "Yes"},
]
LARGE = {
    "model": "fake",
    "max_tokens": 1,
    "messages": [*TURNS * MANY_OBJECTS, TURNS[0]],
    "tools": [{"name": "t", "input_schema": {}}],
}
REPLY = (EngineText("Hello"), ReplyFinished("stop", 1))
REFERENCES = 3
"""To an item that only the list holds: the list's, the loop variable's and the argument's."""


class _RecordedList(list[object]):
    """A list that records its length after each deletion."""

    def __init__(self, items: Iterator[object]) -> None:
        super().__init__(items)
        self.lengths = [len(self)]

    def __delitem__(self, place: Any) -> None:
        super().__delitem__(place)
        self.lengths.append(len(self))


def test_a_list_is_emptied_in_slices() -> None:
    items = _RecordedList(iter(range(3 * SLICE + 1)))
    free(items)
    freed = [before - after for before, after in zip(items.lengths, items.lengths[1:], strict=False)]
    assert freed == [SLICE, SLICE, SLICE, 1]


async def test_nothing_is_kept_of_a_request_that_is_not_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradual_release, "free", lambda items: pytest.fail(f"freed {items}"))
    scope: dict[str, Any] = {}
    begin_hold(MANY_OBJECTS, scope)
    hold_parts(scope, [object()])
    await release_parts(scope)
    assert scope == {}


async def test_the_parts_are_messages_their_blocks_and_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[object] = []
    monkeypatch.setattr(gradual_release, "free", freed.extend)
    message = MessageParam.model_validate(TURNS[0])
    rendered = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    scope: dict[str, Any] = {}
    begin_hold(MANY_OBJECTS + 1, scope)
    hold_parts(scope, [message], None, (rendered,))
    await release_parts(scope)
    await release_parts(scope)
    assert isinstance(message.content, list)
    assert freed == [message, *message.content, rendered, *rendered["content"]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Returns the references to each message and tool of a request at the moment when it is freed."""
    counts: list[int] = []

    def count(items: list[object]) -> None:
        time.sleep(0.1)  # until the threads that made the parts have let go of them
        for item in items:
            if isinstance(item, MessageParam | ToolParam):
                counts.append(sys.getrefcount(item))  # noqa: PERF401 - a loop has no further references

    monkeypatch.setattr(gradual_release, "free", count)
    return lambda: counts


async def post(body: Mapping[str, Any], path: str = "/v1/messages") -> httpx.Response:
    transport = httpx.ASGITransport(app_with(FakeEngine(REPLY, window=100)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path, content=json.dumps(body).encode())


async def test_nothing_else_refers_to_a_refused_request_when_it_is_freed(
    counted: Callable[[], list[int]],
) -> None:
    response = await post(LARGE)
    assert response.status_code == 400
    assert "too long" in response.text
    assert counted() == [REFERENCES] * (len(LARGE["messages"]) + 1)


async def test_nothing_else_refers_to_a_counted_request_when_it_is_freed(
    counted: Callable[[], list[int]],
) -> None:
    assert (await post(LARGE, "/v1/messages/count_tokens")).status_code == 200
    assert counted() == [REFERENCES] * (len(LARGE["messages"]) + 1)


async def test_a_small_request_is_freed_as_any_other_object(counted: Callable[[], list[int]]) -> None:
    assert (await post(LARGE | {"messages": TURNS[:1]})).status_code == 200
    assert counted() == []
