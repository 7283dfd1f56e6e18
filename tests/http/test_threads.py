"""Message threads: a continue is served as the whole conversation would be, through the SDK and by hand."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from anthropic.types.thread_unsupported_request_error import ThreadUnsupportedRequestError
from sqlalchemy import func, select

from support.keys import key_file
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.store.schema import threads
from vllm_messages_plugin.stream.deltas import EngineText, ReplyFailed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import EngineRequest, FakeEngine, Pause, app_with
from vllm_messages_plugin.testing.replies import text_reply, tool_call_reply
from vllm_messages_plugin.wire.errors import MessagesError

Json = dict[str, Any]
CREATE = {"type": "create"}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
LOST = "thread_not_found"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(text_reply("Hello."))


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def http(engine: FakeEngine, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server with a store."""
    async with client_of(app_with(engine, storage=store)) as client:
        yield client


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def begin(*messages: Any, **fields: Any) -> Json:
    asked = {"model": "fake", "max_tokens": 99, "messages": list(messages), "thread": CREATE}
    return {**asked, **fields}


def further(id_: str, *messages: Any, **fields: Any) -> Json:
    return begin(*messages, thread={"type": "continue", "previous_message_id": id_}, **fields)


async def send(http: httpx.AsyncClient, body: Json, **headers: str) -> Json:
    """Send a request, streamed or not, and return the message."""
    reply = await http.post("/v1/messages", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return message_of(reply.text) if body.get("stream") else reply.json()


def message_of(stream: str) -> Json:
    """The id of a streamed reply, which has ended."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "message_stop"
    started: Json = events[0]["message"]
    return started


async def refusal(http: httpx.AsyncClient, body: Json, **headers: str) -> tuple[int, str]:
    """The status and the error code of a refused request."""
    reply = await http.post("/v1/messages", json=body, headers=headers)
    return reply.status_code, reply.json()["error"]["details"]["error_code"]


async def kept(store: Store) -> int:
    """How many threads are stored."""
    async with store.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(threads))).scalar_one())


# The same as the whole conversation.

TURNS: Sequence[Json] = (
    user('Hällo \u2028 \\ " }] ,'),
    user([{"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}}]),
    user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "a\n"}]}]),
    user("And?"),
)
REPLIES = (
    text_reply("Hello. \U0001f600", thinking="Who \0 is it?"),
    tool_call_reply(("look", {"a": "é\u2029", "n": 12345678901234567890})),
    text_reply("It is dark."),
    text_reply("Nothing."),
)
FIELDS: Json = {
    "system": "Be brief. \u00fc",
    "tools": [TOOL],
    "thinking": {"type": "enabled", "budget_tokens": 50},
}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_continue_reaches_the_engine_as_the_whole_conversation_does(
    store: Store, stream: bool
) -> None:
    engine, whole = FakeEngine(replies=REPLIES), FakeEngine(replies=REPLIES)
    history: list[Any] = []
    id_ = ""
    async with client_of(app_with(engine, storage=store)) as threaded, client_of(app_with(whole)) as plain:
        for turn in TURNS:
            history.append(turn)
            fixed = {"thinking": FIELDS["thinking"], "stream": stream}
            asked = further(id_, turn, **fixed) if id_ else begin(turn, **FIELDS, stream=stream)
            id_ = (await send(threaded, asked))["id"]
            reply = await send(plain, begin(*history, **FIELDS, thread=None))
            history.append({"role": "assistant", "content": reply["content"]})
    assert [_seen(each) for each in engine.requests] == [_seen(each) for each in whole.requests]
    assert len(engine.requests) == len(TURNS)


def _seen(request: EngineRequest) -> Any:
    """What the engine saw, but for the ids of calls, which are random, and whether the reply is streamed."""
    conversation = request.conversation
    messages = json.loads(json.dumps(conversation.messages))
    for message in messages:
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls") or ():
            call.pop("id", None)
    return messages, conversation.tools, replace(request.sampling, streamed=False)


async def test_the_usage_of_a_continue_is_that_of_the_whole_conversation(http: httpx.AsyncClient) -> None:
    first = await send(http, begin(user("One two three.")))
    second = await send(http, further(first["id"], user("Four.")))
    assert second["usage"]["input_tokens"] == 5


async def test_a_paused_turn_goes_on_from_no_messages(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    first = await send(http, begin(user("Hi")))
    await send(http, further(first["id"]))
    assert [message["role"] for message in engine.requests[-1].conversation.messages] == ["user", "assistant"]


async def test_a_record_has_the_whole_conversation(engine: FakeEngine, store: Store, tmp_path: Path) -> None:
    from vllm_messages_plugin.http.recorder import Recorder

    recorder = Recorder(tmp_path / "records")
    async with client_of(app_with(engine, storage=store, recorder=recorder)) as http:
        first = await send(http, begin(user("Hi"), system="S"))
        second = await send(http, further(first["id"], user("Ho")))
    await recorder.flush()
    (path,) = (tmp_path / "records").glob(f"*{second['id']}*")
    recorded = json.loads(path.read_text())["request"]
    assert (len(recorded["messages"]), recorded["system"], "thread" in recorded) == (3, "S", False)


# What can't be continued.


async def test_an_unknown_thread_and_one_continued_before_are_refused(http: httpx.AsyncClient) -> None:
    first = await send(http, begin(user("Hi")))
    await send(http, further(first["id"], user("Ho")))
    assert await refusal(http, further(first["id"], user("Ho"))) == (400, "thread_already_continued")
    assert await refusal(http, further("msg_none", user("Ho"))) == (404, LOST)


async def test_of_two_continues_at_once_one_is_served(store: Store) -> None:
    slow = [EngineText("H"), Pause(0.3), ReplyFinished("stop", 1)]
    engine = FakeEngine(replies=[text_reply("Hi."), slow])
    async with client_of(app_with(engine, storage=store)) as http:
        first = await send(http, begin(user("Hi")))
        body = further(first["id"], user("Ho"))
        replies = await asyncio.gather(*(http.post("/v1/messages", json=body) for _ in range(3)))
        assert sorted(reply.status_code for reply in replies) == [200, 400, 400]
        codes = {r.json()["error"]["details"]["error_code"] for r in replies if r.status_code == 400}
        assert codes == {"thread_continue_in_flight"}
    assert len(engine.requests) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "other"),
        ("tool_choice", {"type": "any"}),
        ("thinking", {"type": "disabled"}),
        ("output_config", {"effort": "low"}),
        ("context_management", {"edits": [{"type": "clear_thinking_20251015"}]}),
        ("cache_control", {"type": "ephemeral"}),
        ("mcp_servers", [{"type": "url", "name": "a", "url": "https://a.invalid"}]),
    ],
)
async def test_a_fixed_field_that_changes_is_named(
    http: httpx.AsyncClient, engine: FakeEngine, field: str, value: Any
) -> None:
    first = await send(http, begin(user("Hi"), tools=[TOOL]))
    body = further(first["id"], user("Ho"), **{field: value})
    assert await refusal(http, body) == (400, "thread_fingerprint_mismatch")
    reply = (await http.post("/v1/messages", json=body)).json()
    assert reply["error"]["message"].startswith(f"{field}: ")
    assert len(engine.requests) == 1
    await send(http, further(first["id"], user("Ho")))


async def test_betas_stay_the_same_in_any_order_and_free_fields_may_change(http: httpx.AsyncClient) -> None:
    first = await send(http, begin(user("Hi")), **{"anthropic-beta": "a,b"})
    body = further(first["id"], user("Ho"), max_tokens=3, temperature=0.5, stop_sequences=["x"], metadata={})
    assert await refusal(http, body, **{"anthropic-beta": "a"}) == (400, "thread_fingerprint_mismatch")
    await send(http, body, **{"anthropic-beta": "b, a"})


@pytest.mark.parametrize("value", [None, "x", [TOOL]])
@pytest.mark.parametrize("field", ["system", "tools"])
async def test_system_and_tools_may_not_be_repeated(http: httpx.AsyncClient, field: str, value: Any) -> None:
    first = await send(http, begin(user("Hi"), system="S", tools=[TOOL]))
    reply = await http.post("/v1/messages", json=further(first["id"], user("Ho"), **{field: value}))
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(f"{field}")


async def test_the_reply_that_the_thread_holds_may_not_be_repeated(http: httpx.AsyncClient) -> None:
    first = await send(http, begin(user("Hi")))
    repeated = {"role": "assistant", "content": first["content"]}
    reply = await http.post("/v1/messages", json=further(first["id"], repeated, user("Ho")))
    assert (reply.status_code, reply.json()["error"]["message"][:12]) == (400, "messages.0: ")
    await send(http, further(first["id"], user("Ho")))


async def test_a_conversation_grows_up_to_the_largest_body(engine: FakeEngine, store: Store) -> None:
    engine.window = 10_000_000
    async with client_of(app_with(engine, storage=store, max_body_mb=1)) as http:
        first = await send(http, begin(user("x" * 700_000)))
        reply = await http.post("/v1/messages", json=further(first["id"], user("x" * 700_000)))
        assert (reply.status_code, reply.json()["error"]["type"]) == (413, "request_too_large")
        await send(http, further(first["id"], user("x" * 200_000)))


async def test_threads_are_not_for_token_counts(http: httpx.AsyncClient) -> None:
    body = begin(user("Hi"))
    reply = await http.post("/v1/messages/count_tokens", json=body)
    assert (reply.status_code, reply.json()["error"]["details"]["error_code"]) == (
        400, "thread_unsupported_request",
    )  # fmt: skip


@pytest.mark.parametrize("stored", [False, True])
async def test_a_server_that_keeps_no_threads_says_so(engine: FakeEngine, store: Store, stored: bool) -> None:
    app = app_with(engine, storage=store, thread_minutes=0) if stored else app_with(engine)
    async with client_of(app) as http:
        for body in (begin(user("Hi")), further("msg_1", user("Hi"))):
            assert await refusal(http, body) == (400, "thread_unsupported_request")
    assert engine.requests == []


# Owners.


async def test_a_thread_of_one_key_is_unknown_to_another(
    engine: FakeEngine, store: Store, tmp_path: Path
) -> None:
    keys = key_file(tmp_path, ann={}, ben={})
    async with client_of(app_with(engine, storage=store, key_file=keys)) as http:
        ann, ben = ({"x-api-key": f"key-{name}"} for name in ("ann", "ben"))
        first = await send(http, begin(user("Hi")), **ann)
        assert await refusal(http, further(first["id"], user("Ho")), **ben) == (404, LOST)
        await send(http, further(first["id"], user("Ho")), **ann)


# Replies that did not end.


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_failed_is_not_kept_and_its_thread_goes_on(store: Store, stream: bool) -> None:
    failed = (EngineText("H"), ReplyFailed(MessagesError("api_error", "no")))
    engine = FakeEngine(replies=[text_reply("Hi."), failed, text_reply("Hi."), failed])
    async with client_of(app_with(engine, storage=store)) as http:
        first = await send(http, begin(user("Hi")))
        broken = await http.post("/v1/messages", json=further(first["id"], user("Ho"), stream=stream))
        assert '"api_error"' in broken.text.replace(" ", "")
        second = await send(http, further(first["id"], user("Ho")))
        assert second["content"][0]["text"] == "Hi."
        assert len(engine.requests[-1].conversation.messages) == 3
        await http.post("/v1/messages", json=begin(user("Hi"), stream=stream))
    assert await kept(store) == 1


async def test_a_request_that_the_engine_refuses_leaves_its_thread(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    first = await send(http, begin(user("Hi")))
    engine.refusal = MessagesError("overloaded_error", "full")
    reply = await http.post("/v1/messages", json=further(first["id"], user("Ho")))
    assert reply.status_code == 529
    engine.refusal = None
    assert (await http.post("/v1/messages", json=further(first["id"], user("x " * 1001)))).status_code == 400
    await send(http, further(first["id"], user("Ho")))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_leaves_its_thread(store: Store, stream: bool) -> None:
    endless = [EngineText("H"), Pause(60), ReplyFinished("stop", 1)]
    engine = FakeEngine(replies=[text_reply("Hi."), endless, text_reply("Hi.")])
    app = app_with(engine, storage=store)
    async with client_of(app) as http:
        first = await send(http, begin(user("Hi")))
        body = further(first["id"], user("Ho"), stream=stream)
        await _leave(app, json.dumps(body).encode(), engine)
        async with asyncio.timeout(10):
            while (reply := await http.post("/v1/messages", json=body)).status_code == 400:
                assert reply.json()["error"]["details"]["error_code"] == "thread_continue_in_flight"
                await asyncio.sleep(0.01)
    assert reply.status_code == 200
    assert len(engine.requests[-1].conversation.messages) == 3


async def _leave(app: Any, body: bytes, engine: FakeEngine) -> None:
    """Send a request and disconnect while its reply is generated."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        async with asyncio.timeout(10):
            while True:
                if len(engine.requests) == 2:
                    return {"type": "http.disconnect"}
                await asyncio.sleep(0.01)

    async def ignore(_message: Any) -> None:
        pass

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": headers}
    await app({**scope, "query_string": b""}, receive, ignore)


# Failures of the store.


async def test_a_store_that_fails_costs_no_reply(
    http: httpx.AsyncClient, store: Store, options: StoreOptions
) -> None:
    options.directory.mkdir()
    (options.directory / "messages.db").mkdir()  # nothing can be opened there
    first = await send(http, begin(user("Hi")))
    assert first["content"][0]["text"] == "Hello."
    assert await refusal(http, further(first["id"], user("Ho"))) == (404, LOST)


async def test_a_store_that_is_locked_holds_up_no_reply_for_long(
    http: httpx.AsyncClient, store: Store, options: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.store.threads.STORE_SECONDS", 0.5)
    first = await send(http, begin(user("Hi")))
    with closing(sqlite3.connect(options.directory / "messages.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await refusal(http, further(first["id"], user("Ho"))) == (404, LOST)
        second = await send(http, begin(user("Hi")))
        other.execute("ROLLBACK")
    assert await refusal(http, further(second["id"], user("Ho"))) == (404, LOST)
    await send(http, further(first["id"], user("Ho")))


async def test_a_thread_beyond_the_quota_is_forgotten(engine: FakeEngine, tmp_path: Path) -> None:
    store = open_store(StoreOptions("", tmp_path, quota_mb=1))
    engine.window = 10_000_000
    async with client_of(app_with(engine, storage=store)) as http:
        large = user("x" * 1_100_000)
        first = await send(http, begin(large))
        assert await refusal(http, further(first["id"], user("Ho"))) == (404, LOST)
        second = await send(http, begin(user("Hi")))
        third = await send(http, further(second["id"], large))
        assert await refusal(http, further(third["id"], user("Ho"))) == (404, LOST)
    await store.close()


# The SDK.


class Recorded(httpx2.ASGITransport):
    """Keeps the bodies that the SDK sends, and the error codes that come back."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.bodies: list[Json] = []
        self.codes: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(json.loads(await request.aread()))
        response = await super().handle_async_request(request)
        if response.status_code >= 400:
            body = json.loads(await response.aread())
            self.codes.append(body["error"]["details"]["error_code"])
        return response

    @property
    def sent(self) -> list[tuple[str | None, int]]:
        """The type of thread and the number of messages of each request."""
        return [((body.get("thread") or {}).get("type"), len(body["messages"])) for body in self.bodies]


@asynccontextmanager
async def sdk_of(app: Any) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Recorded]]:
    transport = Recorded(app)
    async with httpx2.AsyncClient(transport=transport) as client:
        yield (
            anthropic.AsyncAnthropic(
                base_url="http://server", api_key="x", max_retries=0, http_client=client
            ),
            transport,
        )


@anthropic.beta_async_tool
async def look() -> str:
    """Look."""
    return "Dark."


LOOPS = (tool_call_reply(("look", {})), tool_call_reply(("look", {})), text_reply("It is dark."))
ASK: Any = {"model": "fake", "max_tokens": 99, "system": "S", "messages": [user("Look.")]}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tool_runner_sends_only_what_is_new(store: Store, stream: bool) -> None:
    engine = FakeEngine(replies=LOOPS)
    async with sdk_of(app_with(engine, storage=store)) as (client, transport):
        runner = client.beta.messages.tool_runner(**ASK, tools=[look], stream=stream)
        message = await runner.until_done()
    assert message.content[0].text == "It is dark."
    assert transport.sent == [("create", 1), ("continue", 1), ("continue", 1)]
    assert [len(each.conversation.messages) for each in engine.requests] == [2, 4, 6]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tool_runner_works_without_a_store(stream: bool) -> None:
    engine = FakeEngine(replies=LOOPS)
    async with sdk_of(app_with(engine)) as (client, transport):
        runner = client.beta.messages.tool_runner(**ASK, tools=[look], stream=stream)
        message = await runner.until_done()
    assert message.content[0].text == "It is dark."
    assert transport.sent == [("create", 1), (None, 1), (None, 3), (None, 5)]
    assert len(engine.requests) == 3


async def test_the_tool_runner_works_with_a_store_that_fails(store: Store, options: StoreOptions) -> None:
    options.directory.mkdir()
    (options.directory / "messages.db").mkdir()
    engine = FakeEngine(replies=LOOPS)
    async with sdk_of(app_with(engine, storage=store)) as (client, transport):
        message = await client.beta.messages.tool_runner(**ASK, tools=[look]).until_done()
    assert message.content[0].text == "It is dark."
    assert transport.codes == [LOST, LOST]
    assert len(engine.requests) == 3


async def test_the_sdks_thread_sends_forks_and_comes_back_after_its_thread_was_lost(
    engine: FakeEngine, store: Store
) -> None:
    async with sdk_of(app_with(engine, storage=store)) as (client, transport):
        thread = client.beta.messages.thread(model="fake", max_tokens=9, system="S", messages=[])
        await thread.send(user("One."))
        fork = thread.fork()
        async with thread.stream(user("Two.")) as stream:
            await stream.get_final_message()
        await fork.send(user("Another."))
        async with store.database.write() as connection:
            await connection.execute(threads.delete())
        await thread.send(user("Three."))
        await thread.send(user("Four."))
    assert transport.sent == [
        ("create", 1), ("continue", 1), ("create", 3), ("continue", 1), ("create", 5), ("continue", 1),
    ]  # fmt: skip
    assert transport.codes == [LOST]
    assert [len(each.conversation.messages) for each in engine.requests] == [2, 4, 4, 6, 8]


async def test_a_refused_thread_has_the_sdks_own_class(engine: FakeEngine) -> None:
    async with sdk_of(app_with(engine)) as (client, _):
        with pytest.raises(ThreadUnsupportedRequestError):
            await client.beta.messages.thread(**ASK).send()


async def test_the_tool_runner_compacts_within_a_thread(store: Store) -> None:
    engine = FakeEngine(replies=(*LOOPS[:1], text_reply("Summary."), *LOOPS[1:]))
    async with sdk_of(app_with(engine, storage=store)) as (client, transport):
        runner = client.beta.messages.tool_runner(**ASK, tools=[look])
        replies = []
        async for message in runner:
            replies.append(message)
            if len(replies) == 1:
                runner.compact_before_next_turn()
    assert replies[-1].content[0].text == "It is dark."
    assert transport.codes == []
