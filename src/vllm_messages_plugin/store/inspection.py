"""What a store holds, without changing it: not even its tables are made or updated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.leases import item_counts
from vllm_messages_plugin.store.migrate import LATEST, current_revision
from vllm_messages_plugin.store.opening import Store
from vllm_messages_plugin.store.schema import batches, files, threads


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What a store holds.

    Attributes:
        database: Where its tables are, without a password.
        revision: The newest migration that the tables have; None if there are none.
        latest: The newest migration that this version has.
        files: How many files are stored.
        file_bytes: How many bytes they have.
        batches: How many batches there are, by status.
        batch_bytes: How many bytes their bodies and results have.
        threads: How many message threads are kept.
        thread_bytes: How many bytes they have.
        open_items: How many items have no result yet.
        leased_items: How many of those are leased by a server.
    """

    database: str
    revision: str | None
    latest: str = LATEST
    files: int = 0
    file_bytes: int = 0
    batches: Mapping[str, int] = field(default_factory=dict)
    batch_bytes: int = 0
    threads: int = 0
    thread_bytes: int = 0
    open_items: int = 0
    leased_items: int = 0

    @property
    def is_current(self) -> bool:
        """Whether the tables are those of this version."""
        return self.revision == self.latest


async def inspect_store(store: Store) -> StoreStatus:
    """Return what a store holds; counts only if its tables are those of this version.

    Raises:
        SQLAlchemyError: The database failed.
        OSError: The database can't be reached.
    """
    database = store.database
    if not database.exists:
        return StoreStatus(database.name, None)
    async with database.look() as connection:
        revision = await connection.run_sync(current_revision)
        if revision != LATEST:
            return StoreStatus(database.name, revision)
        return await _counted(connection, database.name, database.now())


async def _counted(connection: AsyncConnection, name: str, now: float) -> StoreStatus:
    of_files = select(func.count(), func.coalesce(func.sum(files.c.size), 0)).where(
        files.c.deleted_at.is_(None)
    )
    number, size = (await connection.execute(of_files)).one()
    kept = batches.c.deleted_at.is_(None)
    by_status = select(batches.c.status, func.count().label("total")).where(kept).group_by(batches.c.status)
    statuses = {row.status: row.total for row in await connection.execute(by_status)}
    total = func.coalesce(func.sum(batches.c.body_size + batches.c.results_size), 0)
    of_threads = select(func.count(), func.coalesce(func.sum(threads.c.size), 0)).where(
        threads.c.expires_at > now
    )
    thread_number, thread_size = (await connection.execute(of_threads)).one()
    open_items, leased = await item_counts(connection, now)
    return StoreStatus(
        database=name,
        revision=LATEST,
        files=int(number),
        file_bytes=int(size),
        batches=statuses,
        batch_bytes=int((await connection.execute(select(total).where(kept))).scalar_one()),
        threads=int(thread_number),
        thread_bytes=int(thread_size),
        open_items=open_items,
        leased_items=leased,
    )
