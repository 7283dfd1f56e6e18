"""Event streams reach slow clients whole, and the engine waits for them."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Message

from support.loopback import serving_app
from support.waiting import until
from vllm_messages_plugin.http import event_writer
from vllm_messages_plugin.http.event_writer import EventWriter
from vllm_messages_plugin.http.keep_alive import EventStream, PingIntervals
from vllm_messages_plugin.http.streamed_reply import StreamedReply
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, PromptProcessed, ReplyFinished
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.stream.run import ReplyEncoder
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

BODY = {"model": "fake", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
PIECES = [f"{number} ".ljust(5_000, "x") for number in range(6_000)]


class CountingEngine(FakeEngine):
    """Plays long pieces of text, and counts those that were asked for."""

    asked = 0

    async def _play(self, reply: Any, prompt: Any) -> AsyncIterator[EngineDelta]:
        yield PromptProcessed(1, 0)
        for piece in PIECES:
            self.asked += 1
            yield EngineText(piece)
        yield ReplyFinished("stop", len(PIECES))
        self.closed.set()


class Blocked:
    """A `send` of no known server, whose messages wait for `go`."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.go = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        await self.go.wait()
        self.sent.append(message["body"])


class Switch:
    """A source that notes whether it is paused."""

    paused = False

    async def deliver(self, handle: Any) -> None: ...

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def request(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {len(content)}"
    return f"{head}\r\ncontent-type: application/json\r\n\r\n".encode() + content


def texts(stream: bytes) -> list[str]:
    """The texts of the deltas in a chunked response."""
    data, at = [], stream.index(b"\r\n\r\n") + 4
    while size := int(stream[at : (end := stream.index(b"\r\n", at))], 16):
        data.append(stream[end + 2 : end + 2 + size])
        at = end + 4 + size
    events = [
        json.loads(line[6:]) for line in b"".join(data).decode().split("\n") if line.startswith("data: ")
    ]
    return [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_a_client_that_reads_slowly_gets_everything_and_holds_the_engine_back(http: Any) -> None:
    engine = CountingEngine()
    config = uvicorn.Config(app_with(engine), port=0, http=http, log_level="error", lifespan="off")
    async with serving_app(uvicorn.Server(config)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 14)
        writer.write(request(BODY))
        asked = -1
        while asked != engine.asked or not asked:
            asked = engine.asked
            await asyncio.sleep(0.5)
        assert asked < len(PIECES)
        stream = await reader.read()
        writer.close()
    assert "".join(texts(stream)) == "".join(PIECES)


async def test_what_waits_is_sent_together_and_the_source_goes_on() -> None:
    send, source = Blocked(), Switch()
    writer = EventWriter(send, source)
    running = asyncio.ensure_future(writer.run())
    for frames in (b"a", b"b", b"c"):
        writer.write(frames)
        await asyncio.sleep(0)
    assert (send.sent, source.paused) == ([], True)
    ending = asyncio.ensure_future(writer.end())
    send.go.set()
    await ending
    assert send.sent == [b"a", b"bc", b""]
    assert not source.paused
    running.cancel()


async def drain(gate: asyncio.Event, ended: list[str]) -> None:
    """The `send` of a server whose client does not read."""
    try:
        await gate.wait()
    finally:
        ended.append("closed")


@pytest.mark.parametrize("turns", [0, 1, 2], ids=["run not begun", "run waits", "send waits"])
@pytest.mark.filterwarnings("error")
async def test_a_send_that_waits_is_ended_with_the_writer(
    turns: int, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """A client that disconnects in the turn in which a frame begins to wait."""
    ended: list[str] = []
    gate = asyncio.Event()
    monkeypatch.setattr(event_writer, "server_send", lambda send: lambda message: drain(gate, ended))
    writer = EventWriter(Blocked(), Switch())
    running = asyncio.ensure_future(writer.run())
    if turns == 1:
        await asyncio.sleep(0)
    writer.write(b"a")
    if turns == 2:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ended == (["closed"] if turns == 2 else [])
    writer.close()
    assert ended == ["closed"]
    del writer
    gc.collect()
    assert not recwarn.list


class LateSource(Switch):
    """Delivers the start of a reply, and a piece of text while it is cancelled."""

    async def deliver(self, handle: Any) -> None:
        handle([PromptProcessed(1, 0)])
        try:
            await asyncio.Event().wait()
        finally:
            handle([EngineText("late")])


async def test_a_stream_whose_client_left_ends_the_frame_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Message] = []
    ended: list[str] = []

    async def send(message: Message) -> None:
        if len(sent) == 2:
            await drain(asyncio.Event(), ended)
        sent.append(message)

    async def receive() -> Message:
        await until(lambda: len(sent) == 2)
        return {"type": "http.disconnect"}

    monkeypatch.setattr(event_writer, "server_send", lambda found: found)
    encoder = ReplyEncoder(ReplyContext("fake", "req_1", str), lambda events: b"frames")
    reply = StreamedReply(LateSource(), encoder)  # type: ignore[arg-type]
    await reply.admitted(10)
    await EventStream(reply, PingIntervals(60, 60), "req_1")({}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert ended == ["closed"]


class ShortEngine(FakeEngine):
    """Plays a short reply."""

    async def _play(self, reply: Any, prompt: Any) -> AsyncIterator[EngineDelta]:
        yield PromptProcessed(1, 0)
        yield EngineText("Hello.")
        await asyncio.sleep(0.01)
        yield ReplyFinished("stop", 1)
        self.closed.set()


def writers() -> list[str]:
    """The tasks of event writers that have not ended."""
    names = [repr(task.get_coro()) for task in asyncio.all_tasks() if not task.done()]
    return [name for name in names if "EventWriter" in name]


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("read", [b"message_stop", b"content_block_delta"], ids=["whole", "left"])
async def test_no_task_is_left_behind_a_stream(http: Any, read: bytes) -> None:
    config = uvicorn.Config(app_with(ShortEngine()), port=0, http=http, log_level="error", lifespan="off")
    gc.disable()  # it would end such a task, and asyncio would log an error
    try:
        async with serving_app(uvicorn.Server(config)) as port:
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request(BODY))
                await reader.readuntil(read)
                writer.close()
                await writer.wait_closed()
            await until(lambda: not writers())
    finally:
        gc.enable()
