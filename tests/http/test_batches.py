"""Message Batches through the SDK, stable and beta, and by hand where the SDK can't go wrong."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from support.keys import key_file
from support.waiting import until
from vllm_messages_plugin.http.batches import NO_BATCHES
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.stream.deltas import EngineText
from vllm_messages_plugin.testing.fake_engine import FakeEngine, Pause, app_with
from vllm_messages_plugin.testing.replies import text_reply, tool_call_reply
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.work.worker import WorkerOptions

OPTIONS = WorkerOptions(poll_seconds=0.05)
PATH = "/v1/messages/batches"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(text_reply("Hello."))


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose worker runs."""
    work = asyncio.create_task(app.run())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.fixture
async def http(engine: FakeEngine, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that runs batches."""
    async with running(app_with(engine, storage=store, worker=OPTIONS)) as client:
        yield client


@pytest.fixture
async def idle(engine: FakeEngine, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that runs no items."""
    transport = httpx.ASGITransport(app_with(engine, storage=store))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def sdk(engine: FakeEngine, store: Store) -> AsyncIterator[anthropic.AsyncAnthropic]:
    app: Any = app_with(engine, storage=store, worker=OPTIONS)
    work = asyncio.create_task(app.run())
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield anthropic.AsyncAnthropic(api_key="x", base_url="http://test", http_client=client, max_retries=0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def params(**fields: Any) -> dict[str, Any]:
    return {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **fields}


def requests(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"custom_id": f"item-{number}", "params": params(**fields)} for number in range(count)]


async def create(http: httpx.AsyncClient, *items: dict[str, Any], **headers: str) -> dict[str, Any]:
    reply = await http.post(PATH, json={"requests": items}, headers=headers)
    assert reply.status_code == 200, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def ended(http: httpx.AsyncClient, id_: str, **headers: str) -> dict[str, Any]:
    """Wait until a batch has ended and return it."""
    async with asyncio.timeout(60):
        while True:
            batch: dict[str, Any] = (await http.get(f"{PATH}/{id_}", headers=headers)).json()
            if batch["processing_status"] == "ended":
                return batch
            await asyncio.sleep(0.01)


async def results(http: httpx.AsyncClient, batch: dict[str, Any], **headers: str) -> dict[str, Any]:
    """The results of an ended batch by `custom_id`, each of which stands there once."""
    reply = await http.get(batch["results_url"], headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-jsonl"
    lines = [json.loads(line) for line in reply.text.splitlines()]
    found = {line["custom_id"]: line["result"] for line in lines}
    assert len(found) == len(lines)
    return found


async def run(http: httpx.AsyncClient, *items: dict[str, Any]) -> dict[str, Any]:
    """Run a batch and return its results."""
    return await results(http, await ended(http, (await create(http, *items))["id"]))


async def test_the_stable_sdk_creates_follows_and_reads_a_batch(sdk: anthropic.AsyncAnthropic) -> None:
    batches = sdk.messages.batches
    made = await batches.create(requests=requests(3))
    assert (made.type, made.processing_status, made.request_counts.processing) == (
        "message_batch", "in_progress", 3,
    )  # fmt: skip
    assert made.results_url is None
    assert made.ended_at is None
    assert (made.expires_at - made.created_at).total_seconds() == 86_400
    async with asyncio.timeout(60):
        while True:
            batch = await batches.retrieve(made.id)
            if batch.processing_status == "ended":
                break
            await asyncio.sleep(0.01)
    assert (batch.request_counts.succeeded, batch.request_counts.processing) == (3, 0)
    assert batch.ended_at is not None
    found = {result.custom_id: result.result async for result in await batches.results(made.id)}
    assert sorted(found) == ["item-0", "item-1", "item-2"]
    for result in found.values():
        assert result.type == "succeeded"
        assert result.message.content[0].text == "Hello."
    deleted = await batches.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "message_batch_deleted")
    with pytest.raises(anthropic.NotFoundError):
        await batches.retrieve(made.id)


async def test_the_beta_sdk_cancels_and_pages_both_ways(
    sdk: anthropic.AsyncAnthropic, engine: FakeEngine
) -> None:
    engine.max_running = 0
    batches = sdk.beta.messages.batches
    made = [(await batches.create(requests=requests(1))).id for _ in range(4)][::-1]
    assert [batch.id async for batch in batches.list(limit=2)] == made
    page = await batches.list(limit=2, after_id=made[1])
    assert ([batch.id for batch in page.data], page.has_more, page.first_id) == (made[2:], False, made[2])
    page = await batches.list(limit=2, before_id=made[3])
    assert ([batch.id for batch in page.data], page.has_more) == (made[1:3], True)
    canceled = await batches.cancel(made[0])
    assert canceled.processing_status == "canceling"
    assert canceled.cancel_initiated_at is not None
    found = [result async for result in await batches.results(made[0])]
    assert [(result.custom_id, result.result.type) for result in found] == [("item-0", "canceled")]
    assert (await batches.retrieve(made[0])).request_counts.canceled == 1
    await batches.delete(made[0])


async def test_the_sdk_reports_a_batch_without_results(
    sdk: anthropic.AsyncAnthropic, engine: FakeEngine
) -> None:
    engine.max_running = 0
    made = await sdk.messages.batches.create(requests=requests(1))
    with pytest.raises(anthropic.AnthropicError, match="in_progress"):
        await sdk.messages.batches.results(made.id)
    with pytest.raises(anthropic.BadRequestError, match="cancel it first"):
        await sdk.messages.batches.delete(made.id)


async def test_each_item_ends_as_a_message_of_its_own_would(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    direct = [params(), params(model="none"), params(max_tokens=-1)]
    found = await run(
        http,
        *({"custom_id": f"n{number}", "params": body} for number, body in enumerate(direct)),
        {"custom_id": "streamed", "params": params(stream=True)},
        {"custom_id": "whole", "params": params(stream=False)},
        {"custom_id": "thread", "params": params(thread={"type": "create"})},
        {"custom_id": "empty", "params": {}},
    )
    assert len(found) == 7
    for number, body in enumerate(direct):
        reply, result = (await http.post("/v1/messages", json=body)).json(), found[f"n{number}"]
        if reply["type"] == "error":
            assert result["type"] == "errored"
            assert result["error"]["error"] == reply["error"]
            assert result["error"]["request_id"].startswith("req_")
        else:
            assert result["message"] | {"id": reply["id"]} == reply
    assert found["streamed"]["error"]["error"]["message"].startswith("stream: ")
    assert found["whole"]["type"] == "succeeded"
    assert found["thread"]["error"]["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert found["empty"]["error"]["error"]["type"] == "invalid_request_error"


async def test_an_item_has_tools_thinking_and_the_betas_of_its_batch(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.script = tool_call_reply(("ls", {"path": "."}), text="Ä\0\u2028")
    tool = {"name": "ls", "input_schema": {"type": "object"}}
    found = await run(http, {"custom_id": "a", "params": params(tools=[tool])})
    assert [block["type"] for block in found["a"]["message"]["content"]] == ["text", "tool_use"]
    assert found["a"]["message"]["content"][0]["text"] == "Ä\0\u2028"
    engine.script = text_reply("Hello.", thinking="hm well")
    body = params(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    made = await create(
        http, {"custom_id": "a", "params": body}, **{"anthropic-beta": "thinking-token-count-2026-05-13"}
    )
    message = (await results(http, await ended(http, made["id"])))["a"]["message"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]


async def test_an_item_reads_the_files_of_its_owner(http: httpx.AsyncClient) -> None:
    file = (await http.post("/v1/files", files={"file": ("a.txt", b"plums")})).json()["id"]
    document = {"type": "document", "source": {"type": "file", "file_id": file}}
    lost = {"type": "document", "source": {"type": "file", "file_id": "file_none"}}
    found = await run(
        http,
        {"custom_id": "a", "params": params(messages=[{"role": "user", "content": [document]}])},
        {"custom_id": "b", "params": params(messages=[{"role": "user", "content": [lost]}])},
    )
    assert found["a"]["type"] == "succeeded"
    assert found["b"]["error"]["error"]["type"] == "not_found_error"


async def test_items_come_last_in_the_engines_queue(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    await run(http, *requests(1, priority=-5))
    await http.post("/v1/messages", json=params())
    assert [request.priority for request in engine.requests] == [100, 0]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "The request body is not valid JSON"),
        (b"[]", 400, "The request body is not valid JSON"),
        (b"{}", 400, "requests: Field required"),
        (b'{"requests": {}}', 400, "requests: Input should be a list"),
        (b'{"requests": []}', 400, "requests: List should have at least 1 item"),
        (b'{"requests": [1]}', 400, "requests.0: Input should be an object"),
        (b'{"requests": [{"params": {}}]}', 400, "requests.0.custom_id: Field required"),
        (b'{"requests": [{"custom_id": "a b", "params": {}}]}', 400, "requests.0.custom_id: String should"),
        (b'{"requests": [{"custom_id": 1, "params": {}}]}', 400, "requests.0.custom_id: String should"),
        (b'{"requests": [{"custom_id": "a"}]}', 400, "requests.0.params: Field required"),
        (b'{"requests": [{"custom_id": "a", "params": []}]}', 400, "requests.0.params: Input should be an"),
        (
            b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}',
            400,
            'requests.1.custom_id: custom_id values must be unique: "a" is also requests.0\'s',
        ),
        (
            b'{"requests": [{"custom_id": "a", "params": {"x": tru}}]}',
            400,
            "The request body is not valid JSON",
        ),
        (b'{"requests": [{"custom_id": "a", "params": {}}]} x', 400, "The request body is not valid JSON"),
        (b'{"requests": [{"custom_id": "a", "params": {}}', 400, "The request body is not valid JSON"),
    ],
)
async def test_a_malformed_batch_is_refused_whole(
    idle: httpx.AsyncClient, body: bytes, status: int, message: str
) -> None:
    reply = await idle.post(PATH, content=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"].startswith(message)
    assert (await idle.get(PATH)).json()["data"] == []


async def test_a_batch_above_the_limit_is_refused(
    idle: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.batches.MAX_BODY_MB", 1)
    body = json.dumps({"requests": requests(1, system="x" * (1 << 20))})
    reply = await idle.post(PATH, content=body)
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "request_too_large")
    assert (await idle.get(PATH)).json()["data"] == []


async def test_the_collector_of_cycles_rests_while_a_large_batch_is_created(
    idle: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, create_ = [], store.batches.create

    async def observed(*arguments: Any) -> Any:
        running.append(gc.isenabled())
        return await create_(*arguments)

    monkeypatch.setattr(store.batches, "create", observed)
    for count in (3000, 1):
        assert (await idle.post(PATH, json={"requests": requests(count)})).status_code == 200
        assert gc.isenabled()
    assert running == [False, True]


async def test_a_surrogate_half_and_escaped_names_are_read_as_in_a_message(http: httpx.AsyncClient) -> None:
    body = (
        b'{"x": [1], "requests": [{"p\\u0061rams": {"model": "fake", "max_tokens": 9, "messages": '
        b'[{"role": "user", "content": "a\\ud800 \\"}]{["}]}, "custom_id": "a"}]}'
    )
    made = await http.post(PATH, content=body)
    assert made.status_code == 200, made.text
    found = await results(http, await ended(http, made.json()["id"]))
    assert found["a"]["type"] == "succeeded"


async def test_the_url_of_the_results_is_one_that_the_client_reaches(http: httpx.AsyncClient) -> None:
    made = await ended(http, (await create(http, *requests(1)))["id"])
    assert made["results_url"] == f"http://test{PATH}/{made['id']}/results"
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "llm.example"}
    seen = (await http.get(f"{PATH}/{made['id']}", headers=forwarded)).json()
    assert seen["results_url"] == f"https://llm.example{PATH}/{made['id']}/results"


async def test_items_wait_while_the_engine_is_busy(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.max_running = 0
    made = await create(http, *requests(2))
    await asyncio.sleep(0.3)
    assert engine.requests == []
    engine.max_running = 8
    assert (await ended(http, made["id"]))["request_counts"]["succeeded"] == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_no_item_begins_while_a_client_waits_for_its_first_token(
    http: httpx.AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.batch_items.HOLD_SECONDS", 60.0)
    engine.replies = [(Pause(60),), (EngineText("H"), Pause(60)), text_reply("Hello.")]
    silent, answered = (
        asyncio.create_task(http.post("/v1/messages", json=params(stream=stream))) for _ in range(2)
    )
    await until(lambda: len(engine.requests) == 2)
    made = await create(http, *requests(3))
    await asyncio.sleep(0.3)
    assert len(engine.requests) == 2
    silent.cancel()
    assert (await ended(http, made["id"]))["request_counts"]["succeeded"] == 3
    answered.cancel()


async def test_items_begin_one_by_one_where_a_client_always_waits(
    http: httpx.AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.http.batch_items.HOLD_SECONDS", 0.1)
    engine.replies = [(Pause(60), *text_reply("Hello.")), text_reply("Hello.")]
    waiting = asyncio.create_task(http.post("/v1/messages", json=params()))
    await until(lambda: len(engine.requests) == 1)
    made = await create(http, *requests(3))
    assert (await ended(http, made["id"]))["request_counts"]["succeeded"] == 3
    assert not waiting.done()
    waiting.cancel()


async def test_an_item_that_the_engine_refuses_for_now_is_tried_again(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.refusal = MessagesError("overloaded_error", "full", retry_after=0)
    made = await create(http, *requests(1))
    await asyncio.sleep(0.2)
    engine.refusal = None
    assert (await ended(http, made["id"]))["request_counts"]["succeeded"] == 1


async def test_the_items_of_a_stopped_engine_are_left_to_others(
    http: httpx.AsyncClient, engine: FakeEngine, store: Store
) -> None:
    engine.script = [Pause(0.05), MessagesError("api_error", "dead")]
    made = await create(http, *requests(1))
    await until(lambda: bool(engine.requests))
    engine.is_running = False
    await asyncio.sleep(0.2)
    assert (await http.get(f"{PATH}/{made['id']}")).json()["request_counts"]["processing"] == 1


async def test_items_that_have_begun_end_after_a_cancel(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.script, engine.max_running = [Pause(0.3), *text_reply("Hello.")], 2
    made = await create(http, *requests(5))
    await until(lambda: len(engine.requests) == 2)
    canceled = (await http.post(f"{PATH}/{made['id']}/cancel")).json()
    assert canceled["processing_status"] == "canceling"
    batch = await ended(http, made["id"])
    assert batch["cancel_initiated_at"] is not None
    counts = batch["request_counts"]
    assert (counts["succeeded"], counts["canceled"], counts["processing"]) == (2, 3, 0)
    again = await http.post(f"{PATH}/{made['id']}/cancel")
    assert again.status_code == 400
    kinds = [result["type"] for result in (await results(http, batch)).values()]
    assert sorted(kinds) == ["canceled"] * 3 + ["succeeded"] * 2


async def test_items_that_have_not_begun_in_time_expire(engine: FakeEngine, tmp_path: Path) -> None:
    engine.max_running = 0
    expiring = open_store(StoreOptions("", tmp_path / "data", expire_seconds=0.05))
    async with running(app_with(engine, storage=expiring, worker=OPTIONS)) as http:
        batch = await ended(http, (await create(http, *requests(2)))["id"])
        assert batch["request_counts"]["expired"] == 2
        assert {result["type"] for result in (await results(http, batch)).values()} == {"expired"}
    await expiring.close()


async def test_a_batch_of_another_key_is_like_an_unknown_one(
    engine: FakeEngine, store: Store, tmp_path: Path
) -> None:
    keys = key_file(tmp_path, alice={}, bob={})
    async with running(app_with(engine, storage=store, key_file=keys, worker=OPTIONS)) as http:
        alice, bob = {"x-api-key": "key-alice"}, {"x-api-key": "key-bob"}
        made = await create(http, *requests(1), **alice)
        batch = await ended(http, made["id"], **alice)
        assert (await http.get(PATH, headers=bob)).json()["data"] == []
        for method, path in (
            ("GET", ""), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/results"),
        ):  # fmt: skip
            foreign = await http.request(method, f"{PATH}/{made['id']}{path}", headers=bob)
            unknown = await http.request(method, f"{PATH}/msgbatch_0{path}", headers=bob)
            assert foreign.status_code == unknown.status_code == 404
            message = foreign.json()["error"]["message"]
            assert message.replace(made["id"], "msgbatch_0") == unknown.json()["error"]["message"]
        assert len(await results(http, batch, **alice)) == 1


async def test_items_run_with_the_rights_of_their_key(
    engine: FakeEngine, store: Store, tmp_path: Path
) -> None:
    keys = key_file(tmp_path, alice={"models": ["other"]}, bob={"priority": 30})
    async with running(app_with(engine, storage=store, key_file=keys, worker=OPTIONS)) as http:
        alice, bob = {"x-api-key": "key-alice"}, {"x-api-key": "key-bob"}
        batch = await ended(http, (await create(http, *requests(1), **alice))["id"], **alice)
        error = (await results(http, batch, **alice))["item-0"]["error"]["error"]
        assert error == {"type": "not_found_error", "message": "model: fake"}
        await ended(http, (await create(http, *requests(1), **bob))["id"], **bob)
        assert engine.requests[-1].priority == 130


async def test_the_items_of_a_revoked_key_end_with_an_error(
    engine: FakeEngine, store: Store, tmp_path: Path
) -> None:
    keys = key_file(tmp_path, alice={})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app_with(engine, storage=store, key_file=keys)), base_url="http://test"
    ) as http:
        made = await create(http, *requests(1), **{"x-api-key": "key-alice"})
    keys = key_file(tmp_path, bob={})
    async with running(app_with(engine, storage=store, key_file=keys, worker=OPTIONS)):
        async with asyncio.timeout(60):
            while True:
                batch = await store.batches.get("name_alice", made["id"])
                if batch.ended_at is not None:
                    break
                await asyncio.sleep(0.01)
    assert batch.counts["errored"] == 1
    assert engine.requests == []


async def test_a_server_without_a_store_says_how_to_get_one() -> None:
    app = app_with(FakeEngine())
    context: AppContext = app._app.state.messages_context
    advice = ": it needs `pip install 'vllm-messages-plugin[store]'`"
    app._app.state.messages_context = replace(context, storage_advice=advice)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        for method, path in (
            ("POST", ""),
            ("GET", ""),
            ("GET", "/msgbatch_0"),
            ("GET", "/msgbatch_0/results"),
        ):
            reply = await http.request(method, PATH + path)
            assert reply.status_code == 404
            assert reply.json()["error"]["message"] == NO_BATCHES + advice


async def test_a_failing_store_refuses_batches_and_leaves_messages_alone(
    engine: FakeEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")
    broken = open_store(StoreOptions("", tmp_path / "data"))
    async with running(app_with(engine, storage=broken, worker=OPTIONS)) as http:
        reply = await http.post(PATH, json={"requests": requests(1)})
        assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded_error")
        assert (await http.post("/v1/messages", json=params())).status_code == 200
    await broken.close()
