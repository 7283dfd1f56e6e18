"""Opens a store, does one thing with it, and prints what was found or done."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from vllm_messages_plugin.store.inspection import StoreStatus
    from vllm_messages_plugin.store.opening import Store
    from vllm_messages_plugin.store.retention import Pruned

Result = TypeVar("Result")

PACKAGES: Final = ("sqlalchemy", "aiosqlite", "alembic", "asyncpg", "fsspec")
MISSING: Final = "the store needs: pip install 'vllm-messages-plugin[store]'"
MiB: Final = 1 << 20


class UsageError(Exception):
    """The command can't be run like this."""


class StoreFailedError(Exception):
    """The database or the disk failed."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is, as the server's settings say it; empty values for their defaults."""

    database: str = ""
    data: str = ""
    contents: str = ""
    results_days: float = 29


def is_installed() -> bool:
    """Return whether the packages of the extra `store` are there."""
    return all(find_spec(name) for name in PACKAGES)


def free_bytes(directory: Path) -> int:
    """Return how many bytes are free where a directory is, or would be made."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def with_store(place: StorePlace, do: "Callable[[Store], Awaitable[Result]]") -> Result:
    """Open a store, do something with it and close it.

    Raises:
        UsageError: The packages are missing, or the settings are wrong or turn the store off.
        StoreFailedError: The database or the disk failed.
    """
    if not is_installed():
        raise UsageError(MISSING)
    if place.database == "off":
        raise UsageError("VLLM_MESSAGES_STORE is off")
    return asyncio.run(_with_store(place, do))


async def _with_store(place: StorePlace, do: "Callable[[Store], Awaitable[Result]]") -> Result:
    from sqlalchemy.exc import SQLAlchemyError

    from vllm_messages_plugin.store.opening import StoreOptions, data_directory, open_store
    from vllm_messages_plugin.wire.errors import MessagesError

    directory = data_directory(place.data)
    try:
        store = open_store(
            StoreOptions(place.database, directory, place.contents, results_days=place.results_days)
        )
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from None
    try:
        return await do(store)
    except (MessagesError, SQLAlchemyError, OSError) as error:
        cause = error.__cause__ or error
        raise StoreFailedError(f"the store does not work: {type(cause).__name__}: {cause}") from None
    finally:
        await store.close()


def status(place: StorePlace, *, as_json: bool) -> None:
    """Print what a store holds."""
    from vllm_messages_plugin.store.inspection import inspect_store
    from vllm_messages_plugin.store.opening import data_directory

    found = with_store(place, inspect_store)
    free = free_bytes(data_directory(place.data))
    if as_json:
        print(json.dumps({**asdict(found), "is_current": found.is_current, "free_bytes": free}, indent=2))
        return
    Console().print(_status_table(found, free))


def _status_table(found: "StoreStatus", free: int) -> Table:
    table = Table("", "", show_header=False)
    table.add_row("database", found.database)
    if found.revision is None:
        table.add_row("tables", "none: nothing was stored yet")
    else:
        newer = "" if found.is_current else f"; this version has {found.latest}"
        table.add_row("tables", f"revision {found.revision}{newer}")
        table.add_row("files", f"{found.files:,}, {_size(found.file_bytes)}")
        batches = ", ".join(f"{count:,} {name}" for name, count in found.batches.items()) or "none"
        table.add_row("batches", f"{batches}, {_size(found.batch_bytes)}")
        table.add_row("threads", f"{found.threads:,}, {_size(found.thread_bytes)}")
        table.add_row("open items", f"{found.open_items:,}, {found.leased_items:,} of them leased")
    table.add_row("free", _size(free))
    return table


def _size(number: int) -> str:
    return f"{number / MiB:,.1f} MiB"


def prune(place: StorePlace, *, as_json: bool) -> None:
    """Remove all that is no longer kept, and print how much that was."""
    total = with_store(place, _prune)
    if as_json:
        print(json.dumps(total))
        return
    print(", ".join(f"{count} {name}" for name, count in total.items()) + " removed")


async def _prune(store: "Store") -> dict[str, int]:
    total: dict[str, int] = {}
    pruned: Pruned | None = None
    while pruned is None or pruned.more:
        pruned = await store.retention.prune()
        for name, count in asdict(pruned).items():
            total[name] = total.get(name, 0) + count
    return total


def export(place: StorePlace, directory: Path, *, as_json: bool) -> None:
    """Copy everything that a store holds into a new directory.

    Raises:
        UsageError: The directory exists and is not empty.
    """
    if directory.exists() and any(directory.iterdir()):
        raise UsageError(f"{directory} is not empty")
    from vllm_messages_plugin.store.exporting import export_store

    exported = with_store(place, lambda store: export_store(store, directory))
    counts: dict[str, Any] = asdict(exported)
    print(
        json.dumps(counts)
        if as_json
        else f"{exported.files} files and {exported.batches} batches in {directory}"
    )
    for id_ in exported.damaged:
        Console(stderr=True).print(f"{id_} is damaged and was left out", highlight=False)
