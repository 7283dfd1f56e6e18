"""Work beside an app runs from the lifespan's start to its end, and its failures stay in it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from vllm_messages_plugin.http import background
from vllm_messages_plugin.http.background import WithBackground


async def lifespan_app(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})


async def run_lifespan(app: WithBackground, until: asyncio.Event) -> None:
    """Start the app, wait for an event, and shut it down."""
    messages: asyncio.Queue[Message] = asyncio.Queue()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    messages.put_nowait({"type": "lifespan.startup"})
    running = asyncio.create_task(app({"type": "lifespan"}, messages.get, send))
    async with asyncio.timeout(60):
        await until.wait()
        messages.put_nowait({"type": "lifespan.shutdown"})
        await running
    assert sent == [{"type": "lifespan.startup.complete"}]


async def test_the_work_ends_with_the_lifespan() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await run_lifespan(WithBackground(lifespan_app, work), started)
    assert ended.is_set()


async def test_work_that_fails_is_logged_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.01)
    again, tries = asyncio.Event(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("a bug")
        again.set()
        await asyncio.Event().wait()

    await run_lifespan(WithBackground(lifespan_app, work), again)
    assert "a bug" in caplog.text
    assert tries == 2
