"""How many bytes each owner keeps: files, the bodies and results of batches, and threads."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.schema import batches, files, threads
from vllm_messages_plugin.wire.errors import MessagesError

QUOTA_EXCEEDED: Final = {"error_code": "storage_quota_exceeded"}


def quota_exceeded() -> MessagesError:
    """Return the error of an owner who may store no more bytes."""
    message = "Storage quota exceeded: delete files or batches first"
    return MessagesError("invalid_request_error", message, details=QUOTA_EXCEEDED)


async def lock_owner(connection: AsyncConnection, owner: str) -> None:
    """Make other transactions that lock an owner wait for the end of this one, so that a quota holds.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(owner))))


async def bytes_of(connection: AsyncConnection, owner: str, now: float) -> int:
    """Return how many bytes an owner keeps at a time."""
    of_files = select(func.coalesce(func.sum(files.c.size), 0)).where(
        files.c.owner == owner, files.c.deleted_at.is_(None)
    )
    kept = func.sum(batches.c.body_size + batches.c.results_size)
    of_batches = select(func.coalesce(kept, 0)).where(batches.c.owner == owner)
    of_threads = select(func.coalesce(func.sum(threads.c.size), 0)).where(
        threads.c.owner == owner, threads.c.expires_at > now
    )
    queries = (of_files, of_batches, of_threads)
    return sum([int((await connection.execute(query)).scalar_one()) for query in queries])
