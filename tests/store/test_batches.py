"""Batches are stored whole or not at all, each item ends once, and what is no longer kept is removed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from vllm_messages_plugin.store.batches import DAY, BatchStore
from vllm_messages_plugin.store.files import FileStore
from vllm_messages_plugin.store.leases import GAVE_UP, MAX_ATTEMPTS, LeasedItem, item_counts
from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.store.schema import batch_items, batches
from vllm_messages_plugin.wire.batches import Batch, BatchItem, BatchResult
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.pages import PageQuery

SECONDS = 60.0


async def create(store: Store, count: int, owner: str = "me") -> Batch:
    """A batch whose item `n` has the body `<n>`."""
    body, items = b"", []
    for number in range(count):
        text = b"<%d>" % number
        items.append(BatchItem(f"item-{number}", len(body), len(text)))
        body += text
    return await store.batches.create(owner, {"anthropic-beta": "x"}, bytearray(body), items)


async def finish(store: Store, *items: LeasedItem, kind: Any = "succeeded") -> None:
    await store.leases.finish([(item, BatchResult(item.custom_id, kind, '{"ü":1}')) for item in items])


async def results(store: Store, batch: Batch, owner: str = "me") -> list[BatchResult]:
    return [result async for result in await store.batches.results(owner, batch.id)]


def later(store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the store's clock."""
    now = store.database.now()
    monkeypatch.setattr(store.database, "now", lambda: now + seconds)


async def test_items_are_leased_once_and_their_results_are_the_batchs(store: Store) -> None:
    batch = await create(store, 5)
    first = await store.leases.lease("a", 2, SECONDS)
    second = await store.leases.lease("b", 9, SECONDS)
    assert [item.number for item in first + second] == [0, 1, 2, 3, 4]
    assert await store.leases.lease("c", 9, SECONDS) == []
    request = await store.leases.request(second[1])
    assert (request.owner, request.custom_id, request.body) == ("me", "item-3", b"<3>")
    assert request.headers == {"anthropic-beta": "x"}
    await finish(store, *first)
    assert (await store.batches.get("me", batch.id)).status == "in_progress"
    with pytest.raises(MessagesError, match="has no results yet"):
        await store.batches.results("me", batch.id)
    await finish(store, *second, kind="errored")
    ended = await store.batches.get("me", batch.id)
    assert (ended.status, ended.counts["succeeded"], ended.counts["errored"]) == ("ended", 2, 3)
    assert [(result.custom_id, result.body) for result in await results(store, batch)] == [
        (f"item-{number}", '{"ü":1}') for number in range(5)
    ]
    assert not await store.leases.any_open()


async def test_a_lease_that_ran_out_goes_to_another_worker_and_the_first_result_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await create(store, 2)
    lost = await store.leases.lease("dead", 2, SECONDS)
    later(store, monkeypatch, SECONDS / 2)
    await store.leases.extend("dead", lost[1:], SECONDS)
    later(store, monkeypatch, SECONDS * 0.6)
    taken = await store.leases.lease("b", 9, SECONDS)
    assert [item.number for item in taken] == [0]
    await store.leases.extend("dead", lost, 10 * SECONDS)
    await store.leases.release("dead", {lost[0]: 0.0})
    assert await store.leases.lease("c", 9, SECONDS) == []
    await finish(store, *taken)
    await finish(store, *lost, kind="errored")
    ended = await store.batches.get("me", batch.id)
    assert ended.counts == {"succeeded": 1, "errored": 1, "canceled": 0, "expired": 0}
    assert [result.kind for result in await results(store, batch)] == ["succeeded", "errored"]


async def test_many_workers_at_once_lease_each_item_once(store: Store) -> None:
    await create(store, 40)
    await create(store, 20)
    leased = await asyncio.gather(*(store.leases.lease(f"w{n}", 10, SECONDS) for n in range(8)))
    places = [(item.batch, item.number) for items in leased for item in items]
    assert len(set(places)) == len(places) == 60
    await asyncio.gather(*(finish(store, *items) for items in leased * 2))
    assert not await store.leases.any_open()


async def test_batches_are_served_in_turn(store: Store) -> None:
    large, small = await create(store, 9), await create(store, 2, "you")
    leased = [(await store.leases.lease("a", 1, SECONDS))[0].body for _ in range(4)]
    assert leased == [large.id, small.id, large.id, small.id]


async def test_an_item_given_back_waits_and_its_attempt_does_not_count(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await create(store, 1)
    for _ in range(MAX_ATTEMPTS + 1):
        (item,) = await store.leases.lease("a", 1, SECONDS)
        await store.leases.release("a", {item: 2.0})
        assert await store.leases.lease("a", 1, SECONDS) == []
        later(store, monkeypatch, 3.0)
    await store.leases.close_batches()
    assert (await store.batches.get("me", batch.id)).status == "in_progress"


async def test_an_item_that_ended_every_worker_ends_with_an_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await create(store, 2)
    for _ in range(MAX_ATTEMPTS):
        assert len(await store.leases.lease("a", 1, SECONDS)) == 1
        later(store, monkeypatch, SECONDS + 1)
    assert [item.number for item in await store.leases.lease("a", 9, SECONDS)] == [1]
    await store.leases.close_batches()
    assert (await store.batches.get("me", batch.id)).counts["errored"] == 1
    async with store.database.read() as connection:
        body = (
            await connection.execute(select(batch_items.c.body).where(batch_items.c.number == 0))
        ).scalar_one()
    assert json.loads(body)["error"] == {"type": "api_error", "message": GAVE_UP}


async def test_a_cancel_ends_what_has_not_begun_and_waits_for_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await create(store, 4)
    begun = await store.leases.lease("a", 2, SECONDS)
    canceling = await store.batches.cancel("me", batch.id)
    assert (canceling.status, canceling.ended_at) == ("canceling", None)
    assert await store.leases.lease("b", 9, SECONDS) == []
    await finish(store, begun[0])
    assert (await store.batches.get("me", batch.id)).status == "canceling"
    later(store, monkeypatch, SECONDS + 1)
    await store.leases.close_batches()
    ended = await store.batches.get("me", batch.id)
    assert (ended.status, ended.counts["succeeded"], ended.counts["canceled"]) == ("ended", 1, 3)
    assert ended.cancel_initiated_at == canceling.cancel_initiated_at
    with pytest.raises(MessagesError, match="can't be canceled"):
        await store.batches.cancel("me", batch.id)


async def test_a_canceled_batch_that_nobody_began_has_ended_at_once(store: Store) -> None:
    batch = await create(store, 3)
    assert (await store.batches.cancel("me", batch.id)).status == "canceling"
    assert (await store.batches.get("me", batch.id)).counts["canceled"] == 3
    assert [result.body for result in await results(store, batch)] == [None] * 3


async def test_items_expire_a_day_after_their_batch_was_created(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await create(store, 3)
    assert batch.expires_at - batch.created_at == DAY
    (begun,) = await store.leases.lease("a", 1, 2 * DAY)
    later(store, monkeypatch, DAY + 1)
    assert await store.leases.lease("b", 9, SECONDS) == []
    await store.leases.close_batches()
    await finish(store, begun)
    ended = await store.batches.get("me", batch.id)
    assert (ended.status, ended.counts["succeeded"], ended.counts["expired"]) == ("ended", 1, 2)


async def test_an_owner_neither_finds_nor_changes_the_batches_of_another(store: Store) -> None:
    batch = await create(store, 1)
    for call in (store.batches.get, store.batches.cancel, store.batches.delete, store.batches.results):
        with pytest.raises(MessagesError, match="Batch not found"):
            await call("you", batch.id)
    assert await store.batches.page("you", PageQuery()) == ([], False)
    with pytest.raises(MessagesError, match="after_id"):
        await store.batches.page("you", PageQuery(after_id=batch.id))


async def test_a_quota_holds_files_bodies_and_results_together(store: Store, tmp_path: Path) -> None:
    limited = BatchStore(store.database, store.contents, quota=100)
    files = FileStore(store.database, store.contents, max_bytes=1000, quota=100)
    item = [BatchItem("a", 0, 60)]
    made = await asyncio.gather(
        *(limited.create("me", {}, b"x" * 60, item) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(batch, Batch) for batch in made) == 1
    upload = await files.upload("me")
    with pytest.raises(MessagesError, match="Storage quota exceeded"):
        await upload.write(b"x" * 41)
    await upload.discard()
    (leased,) = await store.leases.lease("a", 1, SECONDS)
    await store.leases.finish([(leased, BatchResult("a", "succeeded", "ü" * 15))])
    await store.retention.prune()
    assert len(list((tmp_path / "data" / "contents").iterdir())) == 0
    upload = await files.upload("me")
    await upload.write(b"x" * 70)
    with pytest.raises(MessagesError, match="Storage quota exceeded"):
        await upload.write(b"x")
    await upload.discard()


async def test_a_damaged_body_is_named(store: Store, tmp_path: Path) -> None:
    batch = await create(store, 2)
    items = await store.leases.lease("a", 2, SECONDS)
    path = tmp_path / "data" / "contents" / batch.id
    path.write_bytes(b"<0>")
    assert (await store.leases.request(items[0])).body == b"<0>"
    with pytest.raises(MessagesError, match=f"{batch.id} is damaged"):
        await store.leases.request(items[1])
    path.unlink()
    with pytest.raises(MessagesError, match=f"{batch.id} is damaged"):
        await store.leases.request(items[0])


async def test_a_batch_whose_rows_can_not_be_stored_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = [BatchItem("a" * 65, 0, 1)] * 2

    def fail(*arguments: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr("vllm_messages_plugin.store.batches._add_items", fail)
    with pytest.raises(MessagesError):
        await store.batches.create("me", {}, b"xx", same)
    assert await store.batches.page("me", PageQuery()) == ([], False)
    assert list((tmp_path / "data" / "contents").iterdir()) == []


async def rows(store: Store) -> tuple[int, int]:
    """How many rows of batches and of items there are."""
    async with store.database.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (batches, batch_items)
        ]
    return counts[0], counts[1]


async def test_results_are_kept_for_their_time_and_then_archived(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, canceled = await create(store, 3), await create(store, 2)
    await finish(store, *await store.leases.lease("a", 3, SECONDS))
    await store.batches.cancel("me", canceled.id)
    await store.batches.delete("me", canceled.id)
    pruned = await store.retention.prune()
    assert (pruned.bodies, pruned.results, pruned.rows, pruned.more) == (1, 0, 2, False)
    assert len(await results(store, old)) == 3
    later(store, monkeypatch, 29 * DAY + 1)
    pruned = await store.retention.prune()
    assert (pruned.results, pruned.rows) == (1, 4)
    assert await rows(store) == (1, 0)
    archived = await store.batches.get("me", old.id)
    assert archived.archived_at is not None
    assert archived.counts["succeeded"] == 3
    with pytest.raises(MessagesError, match="no longer kept") as gone:
        await store.batches.results("me", old.id)
    assert gone.value.status == 404
    assert (await store.retention.prune()).rows == 0


async def test_pruning_removes_the_expired_files_of_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("me", "you"):
        upload = await store.files.upload(owner)
        await upload.write(b"x")
        await upload.finish("a", None, 3600)
    assert (await store.retention.prune()).files == 0
    later(store, monkeypatch, 3601)
    assert (await store.retention.prune()).files == 2
    later(store, monkeypatch, DAY)
    assert (await store.retention.prune()).rows == 2


async def test_pruning_goes_on_where_it_reached_its_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllm_messages_plugin.store.retention.ROWS_AT_ONCE", 2)
    batch = await create(store, 5)
    await store.batches.cancel("me", batch.id)
    await store.batches.delete("me", batch.id)
    found = [await store.retention.prune() for _ in range(3)]
    assert [pruned.rows for pruned in found] == [2, 2, 1]
    assert [pruned.more for pruned in found] == [True, True, False]


async def test_open_items_and_leases_are_counted(store: Store) -> None:
    await create(store, 3)
    await store.leases.lease("a", 1, SECONDS)
    async with store.database.read() as connection:
        assert await item_counts(connection, store.database.now()) == (3, 1)


async def test_a_store_that_nothing_was_stored_in_is_not_made_by_a_look(tmp_path: Path) -> None:
    store = open_store(StoreOptions("", tmp_path / "data"))
    assert not store.leases.exists
    assert not (tmp_path / "data").exists()
    await store.close()
