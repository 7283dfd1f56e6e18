"""Stored batches: their rows, the rows of their items, and their bodies in the contents.

The body stays as the client sent it, and an item is a part of it. So creating a batch of 100,000 items writes
one content and short rows.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.contents import BLOCK_BYTES, Contents, ContentWriter, delete_content
from vllm_messages_plugin.store.database import Database
from vllm_messages_plugin.store.ids import askable
from vllm_messages_plugin.store.leases import close_open_items
from vllm_messages_plugin.store.pages import page
from vllm_messages_plugin.store.quota import bytes_of, lock_owner, quota_exceeded
from vllm_messages_plugin.store.schema import batch_items, batches
from vllm_messages_plugin.wire.batches import RESULT_KINDS, Batch, BatchItem, BatchResult
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.pages import PageQuery

ROWS_AT_ONCE: Final = 1000
RESULTS_BYTES: Final = 1 << 20
"""About how many bytes of results are read in one transaction."""
LONG_SECONDS: Final = 120.0
"""A batch of the largest size is written or canceled in a few seconds; a slow database gets more time."""
DAY: Final = 86_400.0


class BatchStore:
    """The batches of all owners."""

    def __init__(
        self, database: Database, contents: Contents, *, quota: int | None, expire_seconds: float = DAY
    ) -> None:
        """Make the store.

        Args:
            database: Holds the rows.
            contents: Holds the bodies.
            quota: How many bytes one owner may keep, files included; None for any number.
            expire_seconds: After how long a batch's remaining items expire.
        """
        self.database = database
        self.contents = contents
        self._quota = quota
        self._expire_seconds = expire_seconds

    async def create(
        self, owner: str, headers: Mapping[str, str], body: bytes | bytearray, items: Sequence[BatchItem]
    ) -> Batch:
        """Store a batch, whole or not at all.

        Args:
            owner: Whose batch it is.
            headers: The headers with which its items run.
            body: The request body.
            items: The parts of it that are requests.

        Raises:
            MessagesError: 400, the quota is used up; 503, the database or the disk failed.
        """
        id_ = f"msgbatch_{secrets.token_hex(12)}"
        writer = ContentWriter(self.contents, id_)
        try:
            for start in range(0, len(body), BLOCK_BYTES):
                await writer.write(bytes(memoryview(body)[start : start + BLOCK_BYTES]))
            await writer.commit()
        finally:
            await writer.discard()
        try:
            return await self._add(id_, owner, headers, len(body), items)
        except BaseException:
            await asyncio.shield(delete_content(self.contents, id_))
            raise

    async def _add(
        self, id_: str, owner: str, headers: Mapping[str, str], size: int, items: Sequence[BatchItem]
    ) -> Batch:
        async with self.database.write(LONG_SECONDS) as connection:
            if self._quota is not None:
                await lock_owner(connection, owner)
                if await bytes_of(connection, owner, self.database.now()) + size > self._quota:
                    raise quota_exceeded()
            now = self.database.now()
            batch = Batch(id_, "in_progress", len(items), now, now + self._expire_seconds)
            values = {
                "id": id_,
                "owner": owner,
                "status": batch.status,
                "headers": json.dumps(dict(headers)),
                "items": len(items),
                "remaining": len(items),
                "body_size": size,
                "created_at": batch.created_at,
                "expires_at": batch.expires_at,
                "served_at": 0.0,
            }
            row = await connection.execute(insert(batches).values(values).returning(batches.c.number))
            await _add_items(connection, row.scalar_one(), items)
        return batch

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Return a batch.

        Raises:
            MessagesError: 404, the owner has no such batch.
        """
        async with self.database.read() as connection:
            return batch_of(await _row(connection, owner, batch_id))

    async def page(self, owner: str, query: PageQuery) -> tuple[list[Batch], bool]:
        """Return a page of an owner's batches, newest first, and whether more follow.

        Raises:
            MessagesError: 400, there is no batch of the cursor's id.
        """
        async with self.database.read() as connection:
            rows, has_more = await page(connection, batches, owner, query, batches.c.deleted_at.is_(None))
        return [batch_of(row) for row in rows], has_more

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel the items of a batch that no server works on; the others end by themselves.

        Returns:
            The batch as it is being canceled, although it may have ended since.

        Raises:
            MessagesError: 404, the owner has no such batch; 400, it has ended.
        """
        async with self.database.write(LONG_SECONDS) as connection:
            row = await _row(connection, owner, batch_id, lock=True)
            if row.status == "ended":
                raise invalid(f"Batch {row.id} has ended and can't be canceled")
            now = self.database.now()
            if row.status == "in_progress":
                canceled = update(batches).where(batches.c.number == row.number)
                await connection.execute(canceled.values(status="canceling", cancel_initiated_at=now))
            canceling = batch_of(await _row(connection, owner, batch_id))
            await close_open_items(connection, row.number, "canceled", now)
        return canceling

    async def delete(self, owner: str, batch_id: str) -> None:
        """Delete a batch that has ended, with its results. `Retention` removes the rows later.

        Raises:
            MessagesError: 404, the owner has no such batch; 400, it has not ended.
        """
        async with self.database.write() as connection:
            row = await _row(connection, owner, batch_id, lock=True)
            if row.status != "ended":
                raise invalid(f"Batch {row.id} is still processed: cancel it first")
            changed = {"deleted_at": self.database.now(), "body_size": 0, "results_size": 0}
            await connection.execute(update(batches).where(batches.c.number == row.number).values(changed))
        await delete_content(self.contents, row.id)

    async def results(self, owner: str, batch_id: str) -> AsyncIterator[BatchResult]:
        """Return an iterator over the results of a batch that has ended.

        Raises:
            MessagesError: 404, the owner has no such batch, or its results were removed; 400, it has not
                ended.
        """
        async with self.database.read() as connection:
            row = await _row(connection, owner, batch_id)
        if row.status != "ended":
            raise invalid(f"Batch {row.id} has no results yet: its status is {row.status}")
        if row.archived_at is not None:
            raise MessagesError("not_found_error", f"The results of batch {row.id} are no longer kept")
        average = row.results_size // row.items + 1
        return self._results(row.number, min(max(RESULTS_BYTES // average, 1), ROWS_AT_ONCE))

    async def _results(self, batch: int, at_once: int) -> AsyncIterator[BatchResult]:
        """The results in short transactions: a client may take hours to read them."""
        columns = (batch_items.c.number, batch_items.c.custom_id, batch_items.c.kind, batch_items.c.body)
        last = -1
        while True:
            rows = select(*columns).where(batch_items.c.batch == batch, batch_items.c.number > last)
            async with self.database.read() as connection:
                ordered = rows.order_by(batch_items.c.number).limit(at_once)
                found = (await connection.execute(ordered)).all()
            for row in found:
                yield BatchResult(row.custom_id, row.kind, row.body)
            if len(found) < at_once:
                return
            last = found[-1].number


async def _add_items(connection: AsyncConnection, batch: int, items: Sequence[BatchItem]) -> None:
    """Add rows as the driver takes them: SQLAlchemy's work on each would block the event loop for long."""
    columns = ["batch", "number", "custom_id", "start", "length", "leased_until", "attempts"]
    statement = str(insert(batch_items).compile(dialect=connection.dialect, column_keys=columns))
    for start in range(0, len(items), ROWS_AT_ONCE):
        part = enumerate(items[start : start + ROWS_AT_ONCE], start)
        rows = [(batch, number, item.custom_id, item.start, item.length, 0.0, 0) for number, item in part]
        await connection.exec_driver_sql(statement, rows)


async def _row(connection: AsyncConnection, owner: str, batch_id: str, *, lock: bool = False) -> Any:
    found = select(batches).where(
        batches.c.id == askable(batch_id), batches.c.owner == owner, batches.c.deleted_at.is_(None)
    )
    row = (await connection.execute(found.with_for_update() if lock else found)).first()
    if row is None:
        raise MessagesError("not_found_error", f"Batch not found: {batch_id[:80]}")
    return row


def batch_of(row: Any) -> Batch:
    """Return the batch of a row."""
    counts: dict[str, int] = {kind: getattr(row, kind) for kind in RESULT_KINDS}
    fields = {name: getattr(row, name) for name in Batch.__dataclass_fields__ if name != "counts"}
    return Batch(**fields, counts=counts)
