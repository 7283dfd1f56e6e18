"""Connections to the database, transactions, and what its failures mean to a client.

The database is opened by the first transaction and not at the start of the server: the Messages API works
without it, and a database that comes up later is found. Every transaction has a time limit, so that a slow or
vanished database makes a request fail and not wait.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from vllm_messages_plugin.wire.errors import MessagesError

log = logging.getLogger("vllm.messages.store")

TRANSACTION_SECONDS: Final = 20.0
LOCK_SECONDS: Final = 10.0
"""How long a transaction waits for another writer of a SQLite database."""
RETRY_SECONDS: Final = 2

UNAVAILABLE: Final = "The store of files and batches is not available"
BUSY: Final = "The store of files and batches is busy"
FULL: Final = "The store of files and batches is full"
NEWER: Final = "The store was made by a newer version of the server"

_FULL_TEXTS: Final = ("database or disk is full", "no space left", "disk quota exceeded", "disk full")
_BUSY_TEXTS: Final = ("database is locked", "database table is locked", "lock timeout", "too many clients")


def unavailable(message: str = UNAVAILABLE) -> MessagesError:
    """Return the error of a store that does not work now; a retry may succeed."""
    return MessagesError("overloaded_error", message, status=503, retry_after=RETRY_SECONDS)


def store_error(cause: BaseException) -> MessagesError:
    """Return what a client is told about a failure of the database or of the disk."""
    reason = str(cause).lower()
    if any(words in reason for words in _FULL_TEXTS):
        error = MessagesError("api_error", FULL, status=503, retry_after=RETRY_SECONDS)
    elif isinstance(cause, TimeoutError) or any(words in reason for words in _BUSY_TEXTS):
        error = MessagesError("overloaded_error", BUSY, retry_after=RETRY_SECONDS)
    else:
        error = unavailable()
    error.__cause__ = cause
    return error


class Database:
    """A SQLite file or a PostgreSQL database that holds a store's tables."""

    def __init__(self, location: str | Path) -> None:
        """Prepare the connection; nothing is opened yet.

        Args:
            location: The path of a SQLite file, or a `postgresql://` URL.
        """
        self.path = location if isinstance(location, Path) else None
        self._engine = _engine(location)
        self._opened = False
        self._opening = asyncio.Lock()
        self._clock_offset = 0.0
        self._failure = ""  # what the log has a line of; "" while the database works

    @property
    def exists(self) -> bool:
        """Whether there can be anything in it: a SQLite file that no transaction has made yet is empty."""
        return self.path is None or self._opened or self.path.exists()

    def now(self) -> float:
        """Return the time in Unix seconds, by the clock of the database, which all replicas share."""
        return time.time() + self._clock_offset

    @asynccontextmanager
    async def read(self, seconds: float = TRANSACTION_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing.

        Raises:
            MessagesError: The database failed, or the transaction took longer than so many seconds.
        """
        async with self._transaction(write=False, seconds=seconds) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, seconds: float = TRANSACTION_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at its end, or undone if an exception leaves it.

        Raises:
            MessagesError: The database failed, or the transaction took longer than so many seconds.
        """
        async with self._transaction(write=True, seconds=seconds) as connection:
            yield connection

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return (
            str(self.path) if self.path is not None else self._engine.url.render_as_string(hide_password=True)
        )

    @asynccontextmanager
    async def look(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing, on tables of any version.

        Raises:
            SQLAlchemyError: The database failed.
            OSError: The database can't be reached.
        """
        async with asyncio.timeout(TRANSACTION_SECONDS), self._engine.connect() as connection:
            await connection.execution_options(messages_write=False)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _transaction(
        self, *, write: bool, seconds: float = TRANSACTION_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(seconds):
                await self._open()
                async with self._engine.connect() as connection:
                    await connection.execution_options(messages_write=write)
                    async with connection.begin():
                        yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise self._reported(error) from error
        if self._failure:
            log.info("The store works again")
            self._failure = ""

    def _reported(self, error: Exception) -> MessagesError:
        """The error for the client. Failures of one kind are logged once, until a transaction succeeds."""
        translated = store_error(error)
        if translated.message != self._failure:
            cause = error.orig if isinstance(error, DBAPIError) else error
            log.warning("%s: %s: %s", translated.message, type(cause).__name__, cause)
            self._failure = translated.message
        return translated

    async def _open(self) -> None:
        """Migrate the tables and compare the clocks, before the first transaction."""
        if self._opened:
            return
        async with self._opening:
            if self._opened:
                return
            migrate = await asyncio.to_thread(importlib.import_module, "vllm_messages_plugin.store.migrate")
            if self.path is not None:
                await asyncio.to_thread(self.path.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
            async with self._engine.connect() as connection:
                await connection.execution_options(messages_write=True)
                async with connection.begin():
                    try:
                        await connection.run_sync(migrate.upgrade)
                    except migrate.UnknownSchemaError as error:
                        raise unavailable(NEWER) from error
                    if self.path is None:
                        self._clock_offset = await _clock_offset(connection)
            self._opened = True

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


async def _clock_offset(connection: AsyncConnection) -> float:
    found = await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float8"))
    return float(found.scalar_one()) - time.time()


def _engine(location: str | Path) -> AsyncEngine:
    if isinstance(location, Path):
        return _sqlite(location)
    url = make_url(location.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+asyncpg")
    return create_async_engine(
        url, pool_size=5, max_overflow=10, pool_pre_ping=True, pool_timeout=5, connect_args={"timeout": 5}
    )


def _sqlite(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": LOCK_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # `begin` below begins transactions
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        write = connection.get_execution_options().get("messages_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
