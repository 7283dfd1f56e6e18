"""Removes what is no longer kept: expired files, bodies of ended batches, old results, expired threads,
rows of the deleted.

Each call of `prune` does a bounded amount of work in short transactions, so that a server can call it beside
its requests; `more` tells that another call has something to do.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, exists, select, tuple_, update

from vllm_messages_plugin.store.contents import delete_content
from vllm_messages_plugin.store.files import REMOVED_AT_ONCE, FileStore
from vllm_messages_plugin.store.schema import batch_items, batches, files
from vllm_messages_plugin.store.threads import ThreadStore

ROWS_AT_ONCE: Final = 5000
CURSOR_SECONDS: Final = 86_400.0
"""How long the row of a deleted file or batch stays, for clients that page through a list meanwhile."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one call removed: files, bodies of ended batches, their results, threads, rows of the deleted."""

    files: int = 0
    bodies: int = 0
    results: int = 0
    threads: int = 0
    rows: int = 0

    @property
    def more(self) -> bool:
        """Whether a limit was reached, so that there may be more."""
        return (
            max(self.files, self.bodies, self.results, self.threads) >= REMOVED_AT_ONCE
            or self.rows >= ROWS_AT_ONCE
        )


class Retention:
    """Removes what a store no longer keeps."""

    def __init__(self, file_store: FileStore, thread_store: ThreadStore, results_seconds: float) -> None:
        """Make it.

        Args:
            file_store: Removes expired files; the batches are in its database and contents.
            thread_store: Removes expired threads.
            results_seconds: For how long after its creation a batch's results are kept.
        """
        self._files = file_store
        self._threads = thread_store
        self._database = file_store.database
        self._contents = file_store.contents
        self._results_seconds = results_seconds

    async def prune(self) -> Pruned:
        """Remove a bounded amount of what is no longer kept.

        Raises:
            MessagesError: The database failed.
        """
        return Pruned(
            await self._files.remove_expired(),
            await self._remove_bodies(),
            await self._archive(),
            await self._threads.remove_expired(),
            await self._remove_items() + await self._remove_tombstones(),
        )

    async def _remove_bodies(self) -> int:
        """Remove the bodies of ended batches: nothing reads them any more."""
        ended = select(batches.c.number, batches.c.id).where(
            batches.c.status == "ended", batches.c.body_size > 0
        )
        async with self._database.read() as connection:
            found = (await connection.execute(ended.limit(REMOVED_AT_ONCE))).all()
        for row in found:
            await delete_content(self._contents, row.id)
        if found:
            numbers = [row.number for row in found]
            async with self._database.write() as connection:
                rows = update(batches).where(batches.c.number.in_(numbers))
                await connection.execute(rows.values(body_size=0))
        return len(found)

    async def _archive(self) -> int:
        """Mark batches whose results were kept long enough."""
        now = self._database.now()
        due = (
            batches.c.status == "ended",
            batches.c.archived_at.is_(None),
            batches.c.deleted_at.is_(None),
            batches.c.created_at <= now - self._results_seconds,
        )
        async with self._database.read() as connection:
            query = select(batches.c.number).where(*due).limit(REMOVED_AT_ONCE)
            numbers = (await connection.execute(query)).scalars().all()
        if numbers:
            async with self._database.write() as connection:
                rows = update(batches).where(batches.c.number.in_(numbers))
                await connection.execute(rows.values(archived_at=now, results_size=0))
        return len(numbers)

    async def _remove_items(self) -> int:
        gone = batches.c.archived_at.is_not(None) | batches.c.deleted_at.is_not(None)
        rows = (
            select(batch_items.c.batch, batch_items.c.number)
            .join(batches, batches.c.number == batch_items.c.batch)
            .where(gone)
            .limit(ROWS_AT_ONCE)
        )
        async with self._database.read() as connection:
            if (await connection.execute(rows.limit(1))).first() is None:
                return 0
        async with self._database.write() as connection:
            keys = tuple_(batch_items.c.batch, batch_items.c.number)
            return (await connection.execute(delete(batch_items).where(keys.in_(rows)))).rowcount

    async def _remove_tombstones(self) -> int:
        return await self._remove_rows(files) + await self._remove_rows(
            batches, ~exists().where(batch_items.c.batch == batches.c.number)
        )

    async def _remove_rows(self, table: Table, *conditions: Any) -> int:
        old = (table.c.deleted_at <= self._database.now() - CURSOR_SECONDS, *conditions)
        numbers = select(table.c.number).where(*old).limit(ROWS_AT_ONCE)
        async with self._database.read() as connection:
            if (await connection.execute(numbers.limit(1))).first() is None:
                return 0
        async with self._database.write() as connection:
            return (await connection.execute(delete(table).where(table.c.number.in_(numbers)))).rowcount
