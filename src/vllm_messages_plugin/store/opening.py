"""Opens a store from an operator's settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vllm_messages_plugin.store.batches import DAY, BatchStore
from vllm_messages_plugin.store.contents import Contents, open_contents
from vllm_messages_plugin.store.database import Database
from vllm_messages_plugin.store.files import FileStore, MiB
from vllm_messages_plugin.store.leases import LeaseStore
from vllm_messages_plugin.store.retention import Retention
from vllm_messages_plugin.store.threads import CLAIM_SECONDS, ThreadStore

DATABASE_NAME: Final = "messages.db"
CONTENTS_NAME: Final = "contents"
DATABASE_SCHEMES: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where a store is and what it may keep.

    Attributes:
        database: A `postgresql://` URL; empty for a SQLite file in `directory`.
        directory: Holds the SQLite file and, without `contents`, the bytes.
        contents: An fsspec URL for the bytes; empty for a directory.
        max_file_mb: The largest file, in MiB.
        quota_mb: How many MiB one owner may keep; 0 for any number.
        results_days: For how many days after its creation a batch's results are kept.
        expire_seconds: After how long the items of a batch that have not begun expire.
        thread_seconds: How long a message thread is kept after its last request.
        claim_seconds: How long a thread stays claimed by a request whose server was killed.
    """

    database: str
    directory: Path
    contents: str = ""
    max_file_mb: int = 500
    quota_mb: int = 0
    results_days: float = 29
    expire_seconds: float = DAY
    thread_seconds: float = 300
    claim_seconds: float = CLAIM_SECONDS


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that is stored."""

    database: Database
    contents: Contents
    files: FileStore
    batches: BatchStore
    leases: LeaseStore
    threads: ThreadStore
    retention: Retention

    async def close(self) -> None:
        """Close the database."""
        await self.database.close()


def open_store(options: StoreOptions) -> Store:
    """Return a store. Its database is opened by the first use.

    Raises:
        ValueError: The options name a database that is none.
    """
    if options.database and not options.database.startswith(DATABASE_SCHEMES):
        raise ValueError(f"Input should be a postgresql:// URL or `off`, not {options.database!r}")
    database = Database(options.database or options.directory / DATABASE_NAME)
    contents = open_contents(options.contents or options.directory / CONTENTS_NAME)
    quota = options.quota_mb * MiB or None
    files = FileStore(database, contents, max_bytes=options.max_file_mb * MiB, quota=quota)
    batches = BatchStore(database, contents, quota=quota, expire_seconds=options.expire_seconds)
    leases = LeaseStore(database, contents)
    threads = ThreadStore(
        database, quota=quota, keep_seconds=options.thread_seconds, claim_seconds=options.claim_seconds
    )
    retention = Retention(files, threads, options.results_days * DAY)
    return Store(database, contents, files, batches, leases, threads, retention)


def data_directory(configured: str) -> Path:
    """Return the directory of the settings, or the user's data directory."""
    if configured:
        return Path(configured).expanduser()
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "vllm-messages"
