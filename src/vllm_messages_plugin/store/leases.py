"""Leases of batch items: who works on what, until when, and how each item ends exactly once.

A worker leases items for some seconds and extends the lease while it works. If it dies, the lease runs out
and another worker takes the item. So an item may run twice, but its row takes one result: the update that
sets it applies to open items alone, and the counters of the batch change only with it, in the same
transaction.

Batches are served in turn: each lease goes to the batch that waited longest, so that a large batch does not
hold up a small one that was created after it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.contents import Contents
from vllm_messages_plugin.store.database import Database, store_error
from vllm_messages_plugin.store.schema import batch_items, batches
from vllm_messages_plugin.wire.batches import BatchResult, ItemRequest, ResultKind
from vllm_messages_plugin.wire.errors import MessagesError, error_body, new_request_id
from vllm_messages_plugin.wire.sse import dump

MAX_ATTEMPTS: Final = 5
"""An item that this many workers began and none finished ends with an error: it may be what kills them."""
LEASE_TRIES: Final = 8
CLOSE_SECONDS: Final = 120.0
"""How long ending all items of a large batch may take."""
GAVE_UP: Final = "The server ended while it processed this request"
OPEN: Final = ("in_progress", "canceling")


@dataclass(frozen=True, slots=True)
class LeasedItem:
    """An item that a worker has leased: the item's place in its batch, and in the content of the body."""

    batch: int
    number: int
    custom_id: str
    owner: str
    headers: str
    body: str
    start: int
    length: int


class LeaseStore:
    """The leases of all workers."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self.database = database
        self.contents = contents

    @property
    def exists(self) -> bool:
        """Whether there can be anything to lease."""
        return self.database.exists

    async def any_open(self) -> bool:
        """Return whether a batch has not ended; this locks nothing.

        Raises:
            MessagesError: The database failed.
        """
        async with self.database.read() as connection:
            open_ = select(batches.c.number).where(batches.c.status.in_(OPEN)).limit(1)
            return (await connection.execute(open_)).first() is not None

    async def lease(self, worker: str, count: int, seconds: float) -> list[LeasedItem]:
        """Lease at most so many items of the batch that waited longest.

        Args:
            worker: The worker's name.
            count: How many items it takes at most.
            seconds: For how long.

        Raises:
            MessagesError: The database failed.
        """
        for _ in range(LEASE_TRIES):
            items = await self._lease(worker, count, seconds)
            if items is None:
                break
            if items:
                return items
        return []

    async def _lease(self, worker: str, count: int, seconds: float) -> list[LeasedItem] | None:
        """Lease items of one batch, none if other workers took them just now; None if no batch has any."""
        async with self.database.write() as connection:
            now = self.database.now()
            batch = await self._next_batch(connection, now)
            if batch is None:
                return None
            rows = (
                select(batch_items)
                .where(batch_items.c.batch == batch.number, _is_free(now))
                .order_by(batch_items.c.number)
                .limit(count)
                .with_for_update(skip_locked=True)
            )
            found = (await connection.execute(rows)).all()
            leased = {
                "worker": worker,
                "leased_until": now + seconds,
                "attempts": batch_items.c.attempts + 1,
            }
            taken = and_(
                batch_items.c.batch == batch.number, batch_items.c.number.in_([row.number for row in found])
            )
            await connection.execute(update(batch_items).where(taken).values(leased))
            served = update(batches).where(batches.c.number == batch.number)
            await connection.execute(served.values(served_at=now))
        return [_leased(row, batch) for row in found]

    async def _next_batch(self, connection: AsyncConnection, now: float) -> Any:
        free = exists().where(batch_items.c.batch == batches.c.number, _is_free(now))
        waiting = select(batches).where(batches.c.status == "in_progress", batches.c.expires_at > now, free)
        ordered = waiting.order_by(batches.c.served_at, batches.c.number).limit(1)
        return (await connection.execute(ordered.with_for_update(of=batches))).first()

    async def request(self, item: LeasedItem) -> ItemRequest:
        """Return what a leased item asks for.

        Raises:
            MessagesError: 500, the stored body is damaged; 503, it can't be read now.
        """
        try:
            body = await asyncio.to_thread(self.contents.read, item.body, item.start, item.length)
        except FileNotFoundError:
            raise _damaged(item.body) from None
        except OSError as error:
            raise store_error(error) from error
        if len(body) < item.length:
            raise _damaged(item.body)
        return ItemRequest(item.owner, json.loads(item.headers), item.custom_id, body)

    async def extend(self, worker: str, items: Sequence[LeasedItem], seconds: float) -> None:
        """Extend a worker's leases.

        Raises:
            MessagesError: The database failed.
        """
        async with self.database.write() as connection:
            until = self.database.now() + seconds
            for item in items:
                leased = update(batch_items).where(_same(item), batch_items.c.worker == worker)
                await connection.execute(leased.values(leased_until=until))

    async def release(self, worker: str, items: Mapping[LeasedItem, float]) -> None:
        """Give back items that a worker did not finish; the attempt does not count.

        Args:
            worker: The worker's name.
            items: The items, each with the seconds after which it may be leased again.

        Raises:
            MessagesError: The database failed.
        """
        async with self.database.write() as connection:
            now = self.database.now()
            for item, seconds in items.items():
                leased = update(batch_items).where(_same(item), batch_items.c.worker == worker)
                free = {
                    "worker": None,
                    "leased_until": now + seconds,
                    "attempts": batch_items.c.attempts - 1,
                }
                await connection.execute(leased.values(free))

    async def finish(self, results: Sequence[tuple[LeasedItem, BatchResult]]) -> None:
        """Store results; one of an item that has a result already is dropped.

        Raises:
            MessagesError: The database failed.
        """
        numbers = sorted({item.batch for item, _ in results})
        async with self.database.write() as connection:
            await lock_batches(connection, numbers)
            for item, result in results:
                open_ = update(batch_items).where(_same(item), batch_items.c.kind.is_(None))
                stored = await connection.execute(open_.values(kind=result.kind, body=result.body))
                if stored.rowcount == 1:
                    size = 0 if result.body is None else len(result.body.encode())
                    await _count(connection, item.batch, result.kind, 1, size)
            for batch in numbers:
                await _end_if_done(connection, batch, self.database.now())

    async def close_batches(self) -> None:
        """End what no worker will end: items that expired, were canceled, or ended every worker they had.

        Raises:
            MessagesError: The database failed.
        """
        async with self.database.read() as connection:
            now = self.database.now()
            due = or_(batches.c.status == "canceling", batches.c.expires_at <= now)
            query = select(batches.c.number, batches.c.status).where(batches.c.status.in_(OPEN), due)
            found = (await connection.execute(query)).all()
            tried = select(batch_items.c.batch).where(
                batch_items.c.kind.is_(None),
                batch_items.c.attempts >= MAX_ATTEMPTS,
                batch_items.c.leased_until < now,
                batch_items.c.batch.in_(select(batches.c.number).where(batches.c.status.in_(OPEN))),
            )
            hopeless = (await connection.execute(tried.distinct())).scalars().all()
        for number, status in found:
            kind: ResultKind = "canceled" if status == "canceling" else "expired"
            async with self.database.write(CLOSE_SECONDS) as connection:
                await lock_batches(connection, [number])
                await close_open_items(connection, number, kind, now)
        for number in hopeless:
            async with self.database.write() as connection:
                await lock_batches(connection, [number])
                await close_open_items(
                    connection, number, "errored", now, batch_items.c.attempts >= MAX_ATTEMPTS
                )


async def lock_batches(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Lock the rows of batches before those of their items: in one order, no two transactions deadlock."""
    rows = select(batches.c.number).where(batches.c.number.in_(numbers)).order_by(batches.c.number)
    await connection.execute(rows.with_for_update())


async def close_open_items(
    connection: AsyncConnection, batch: int, kind: ResultKind, now: float, *conditions: Any
) -> None:
    """End the items of a locked batch that no worker has leased, and the batch if no others are left.

    Args:
        connection: A transaction.
        batch: The number of the batch.
        kind: How they end.
        now: The time; items whose lease lasts longer are left alone.
        conditions: What else holds for the items.
    """
    body = (
        dump(error_body(MessagesError("api_error", GAVE_UP), new_request_id())).decode()
        if kind == "errored"
        else None
    )
    idle = update(batch_items).where(
        batch_items.c.batch == batch,
        batch_items.c.kind.is_(None),
        batch_items.c.leased_until < now,
        *conditions,
    )
    closed = (await connection.execute(idle.values(kind=kind, body=body))).rowcount
    await _count(connection, batch, kind, closed, 0)
    await _end_if_done(connection, batch, now)


def _is_free(now: float) -> Any:
    return and_(
        batch_items.c.kind.is_(None),
        batch_items.c.leased_until < now,
        batch_items.c.attempts < MAX_ATTEMPTS,
    )


def _same(item: LeasedItem) -> Any:
    return and_(batch_items.c.batch == item.batch, batch_items.c.number == item.number)


def _leased(row: Any, batch: Any) -> LeasedItem:
    return LeasedItem(
        batch=batch.number,
        number=row.number,
        custom_id=row.custom_id,
        owner=batch.owner,
        headers=batch.headers,
        body=batch.id,
        start=row.start,
        length=row.length,
    )


def _damaged(body: str) -> MessagesError:
    return MessagesError("api_error", f"The stored body of {body} is damaged; create the batch again")


async def _count(connection: AsyncConnection, batch: int, kind: ResultKind, number: int, size: int) -> None:
    changed = {
        kind: batches.c[kind] + number,
        "remaining": batches.c.remaining - number,
        "results_size": batches.c.results_size + size,
    }
    await connection.execute(update(batches).where(batches.c.number == batch).values(changed))


async def _end_if_done(connection: AsyncConnection, batch: int, now: float) -> None:
    done = and_(batches.c.number == batch, batches.c.remaining == 0, batches.c.status != "ended")
    await connection.execute(update(batches).where(done).values(status="ended", ended_at=now))


async def item_counts(connection: AsyncConnection, now: float) -> tuple[int, int]:
    """Return how many items have no result yet, and how many of them are leased."""
    open_ = select(func.count()).select_from(batch_items).where(batch_items.c.kind.is_(None))
    leased = open_.where(batch_items.c.leased_until >= now)
    return (await connection.execute(open_)).scalar_one(), (await connection.execute(leased)).scalar_one()
