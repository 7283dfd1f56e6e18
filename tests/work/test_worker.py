"""A worker runs each item once, gives up on nothing that passes, and is idle while there is no batch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import event

from support.waiting import until
from vllm_messages_plugin.store.leases import LeaseStore, item_counts
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.wire.batches import Batch, BatchItem, BatchResult, ItemRequest
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.work.worker import Worker, WorkerOptions

OPTIONS = WorkerOptions(concurrency=3, poll_seconds=0.05)


@dataclass
class FakeRunner:
    """Runs items with a function, and records them.

    Attributes:
        work: What an item does before it succeeds.
        slots: How many items may run at once.
    """

    work: Callable[[ItemRequest], Awaitable[None]]
    slots: int = 100
    begun: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def free_slots(self, begun: int) -> int:
        return self.slots - begun

    async def run(self, item: ItemRequest) -> BatchResult:
        self.begun.append(item.custom_id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.work(item)
        finally:
            self.running -= 1
        return BatchResult(item.custom_id, "succeeded", "{}")


async def nothing(item: ItemRequest) -> None:
    await asyncio.sleep(0)


async def forever(item: ItemRequest) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def working(
    store: Store, runner: FakeRunner, options: WorkerOptions = OPTIONS, created: asyncio.Event | None = None
) -> AsyncIterator[None]:
    worker = Worker(store.leases, store.retention, runner, created or asyncio.Event(), options)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def create(store: Store, count: int) -> Batch:
    items = [BatchItem(f"item-{number}", 0, 2) for number in range(count)]
    return await store.batches.create("me", {}, b"{}", items)


async def ended(store: Store, batch: Batch) -> Batch:
    async with asyncio.timeout(60):
        while True:
            found = await store.batches.get("me", batch.id)
            if found.ended_at is not None:
                return found
            await asyncio.sleep(0.01)


async def test_every_item_runs_once_and_no_more_at_once_than_allowed(store: Store) -> None:
    batch, runner = await create(store, 20), FakeRunner(nothing)
    async with working(store, runner):
        assert (await ended(store, batch)).counts["succeeded"] == 20
    assert sorted(runner.begun) == sorted(f"item-{number}" for number in range(20))
    assert runner.most <= OPTIONS.concurrency


async def test_no_more_items_run_than_the_engine_has_free_slots(store: Store) -> None:
    batch, runner = await create(store, 6), FakeRunner(nothing, slots=1)
    async with working(store, runner):
        await ended(store, batch)
    assert runner.most == 1


async def test_a_worker_without_places_ends_what_was_canceled_but_runs_nothing(store: Store) -> None:
    batch, runner = await create(store, 2), FakeRunner(nothing)
    assert len(await store.leases.lease("dead", 1, 0.2)) == 1
    await store.batches.cancel("me", batch.id)
    async with working(store, runner, replace(OPTIONS, concurrency=0)):
        assert (await ended(store, batch)).counts["canceled"] == 2
    assert runner.begun == []


async def test_a_created_batch_begins_at_once(store: Store) -> None:
    runner, created = FakeRunner(nothing), asyncio.Event()
    await store.leases.any_open()
    async with working(store, runner, replace(OPTIONS, poll_seconds=3600), created):
        await asyncio.sleep(0.05)
        batch = await create(store, 2)
        created.set()
        await ended(store, batch)


async def test_an_item_that_the_server_refuses_for_now_is_tried_again(store: Store) -> None:
    batch, tries = await create(store, 1), 0

    async def refuse_twice(item: ItemRequest) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise MessagesError("overloaded_error", "busy", retry_after=0)

    async with working(store, FakeRunner(refuse_twice)):
        assert (await ended(store, batch)).counts["succeeded"] == 1
    assert tries == 3


async def test_an_item_that_raises_is_logged_and_its_lease_runs_out(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    batch, tries = await create(store, 1), 0

    async def fail_once(item: ItemRequest) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("a bug")

    async with working(store, FakeRunner(fail_once), replace(OPTIONS, lease_seconds=0.2)):
        assert (await ended(store, batch)).counts["succeeded"] == 1
    assert "a bug" in caplog.text


async def test_a_lease_is_extended_as_long_as_its_item_runs(store: Store) -> None:
    batch, go = await create(store, 1), asyncio.Event()

    async def wait(item: ItemRequest) -> None:
        await go.wait()

    runner = FakeRunner(wait)
    async with working(store, runner, replace(OPTIONS, lease_seconds=2.0)):
        await until(lambda: bool(runner.begun))
        await asyncio.sleep(2.5)
        assert await store.leases.lease("other", 1, 1.0) == []
        go.set()
        await ended(store, batch)
    assert len(runner.begun) == 1


async def test_a_stopped_worker_gives_its_items_back(store: Store) -> None:
    await create(store, 2)
    runner = FakeRunner(forever)
    async with working(store, runner):
        await until(lambda: len(runner.begun) == 2)
    assert len(await store.leases.lease("other", 9, 1.0)) == 2


async def test_finished_items_wait_for_a_store_that_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, failures = await create(store, 3), 0
    finish = LeaseStore.finish

    async def fail_twice(self: LeaseStore, results: object) -> None:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise MessagesError("overloaded_error", "away", status=503)
        await finish(self, results)  # type: ignore[arg-type]

    monkeypatch.setattr(LeaseStore, "finish", fail_twice)
    runner = FakeRunner(nothing)
    async with working(store, runner):
        assert (await ended(store, batch)).counts["succeeded"] == 3
    assert len(runner.begun) == 3


async def test_a_store_that_is_away_is_logged_once_and_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "messages.db"
    database.mkdir()
    store, runner = open_store(StoreOptions("", tmp_path / "data")), FakeRunner(nothing)
    async with working(store, runner, replace(OPTIONS, poll_seconds=0.01)):
        await asyncio.sleep(0.3)
        assert caplog.text.count("not available") == 1
        database.rmdir()
        assert (await ended(store, await create(store, 1))).counts["succeeded"] == 1
    await store.close()


async def test_a_worker_without_batches_does_one_query_for_each_poll(store: Store) -> None:
    statements: list[str] = []
    await store.leases.any_open()

    def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(store.database._engine.sync_engine, "before_cursor_execute", count)
    polls = replace(OPTIONS, poll_seconds=0.1, prune_seconds=3600)
    async with working(store, FakeRunner(nothing), polls):
        await asyncio.sleep(0.55)
    looks = [statement for statement in statements if "batches.status IN" in statement]
    assert 1 <= len(looks) <= 6
    assert not any(statement.startswith(("UPDATE", "INSERT", "DELETE")) for statement in statements)


async def test_a_worker_makes_no_database(tmp_path: Path) -> None:
    store = open_store(StoreOptions("", tmp_path / "data"))
    async with working(store, FakeRunner(nothing)):
        await asyncio.sleep(0.1)
    assert not (tmp_path / "data").exists()
    await store.close()


async def test_a_worker_prunes_what_is_no_longer_kept(store: Store, tmp_path: Path) -> None:
    batch = await create(store, 1)
    async with working(store, FakeRunner(nothing), replace(OPTIONS, prune_seconds=0.05)):
        await ended(store, batch)
        await until(lambda: not list((tmp_path / "data" / "contents").iterdir()))
    async with store.database.read() as connection:
        assert await item_counts(connection, 0.0) == (0, 0)
