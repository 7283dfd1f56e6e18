"""Copies everything that a store holds into a directory, for a backup or a move.

files.jsonl              one line for each file: its owner and its description
files/ID                 its bytes
batches.jsonl            one line for each batch: its owner and its description
results/ID.jsonl         the results of a batch that has ended
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table, select

from vllm_messages_plugin.store.batches import batch_of
from vllm_messages_plugin.store.files import file_of
from vllm_messages_plugin.store.opening import Store
from vllm_messages_plugin.store.schema import batches, files
from vllm_messages_plugin.wire.batches import message_batch, result_line
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.files import file_metadata

ROWS_AT_ONCE: Final = 100


@dataclass(slots=True)
class Exported:
    """How much was copied, and the ids of files whose bytes are damaged."""

    files: int = 0
    batches: int = 0
    damaged: list[str] = field(default_factory=list)


async def export_store(store: Store, directory: Path) -> Exported:
    """Copy a store into a directory.

    Raises:
        MessagesError: The database failed.
        OSError: The directory can't be written to.
    """
    exported = Exported()
    for part in ("files", "results"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    with (directory / "files.jsonl").open("w", encoding="utf-8") as index:
        async for row in _rows(store, files):
            await _export_file(store, row, directory / "files", exported)
            index.write(_line(row.owner, file_metadata(file_of(row))))
    with (directory / "batches.jsonl").open("w", encoding="utf-8") as index:
        async for row in _rows(store, batches):
            await _export_results(store, row, directory / "results")
            index.write(_line(row.owner, message_batch(batch_of(row), f"results/{row.id}.jsonl")))
            exported.batches += 1
    return exported


async def _export_file(store: Store, row: Any, directory: Path, exported: Exported) -> None:
    try:
        data = await store.files.data(file_of(row))
    except MessagesError as error:
        if error.status != 500:
            raise
        exported.damaged.append(row.id)
        return
    (directory / row.id).write_bytes(data)
    exported.files += 1


async def _export_results(store: Store, row: Any, directory: Path) -> None:
    if row.status != "ended" or row.archived_at is not None:
        return
    with (directory / f"{row.id}.jsonl").open("wb") as file:
        async for result in await store.batches.results(row.owner, row.id):
            file.write(result_line(result))


def _line(owner: str, description: dict[str, Any]) -> str:
    return json.dumps({"owner": owner, **description}, ensure_ascii=False) + "\n"


async def _rows(store: Store, table: Table) -> AsyncIterator[Any]:
    """The rows of a table that are not deleted, in short transactions."""
    last = 0
    while True:
        rows = select(table).where(table.c.number > last, table.c.deleted_at.is_(None))
        async with store.database.read() as connection:
            found = (await connection.execute(rows.order_by(table.c.number).limit(ROWS_AT_ONCE))).all()
        for row in found:
            yield row
        if len(found) < ROWS_AT_ONCE:
            return
        last = found[-1].number
