"""Stored files: their rows in the database and their bytes in the contents."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import insert, select, update

from vllm_messages_plugin.store.contents import Contents, ContentWriter, delete_content, read_blocks
from vllm_messages_plugin.store.database import Database, store_error
from vllm_messages_plugin.store.ids import askable
from vllm_messages_plugin.store.pages import page
from vllm_messages_plugin.store.quota import bytes_of, lock_owner, quota_exceeded
from vllm_messages_plugin.store.schema import files
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.files import StoredFile, mime_type, safe_filename
from vllm_messages_plugin.wire.pages import PageQuery

log = logging.getLogger("vllm.messages.store")

MiB: Final = 1 << 20
REMOVED_AT_ONCE: Final = 100
"""How many expired files an upload removes at most."""
FILE_EXPIRED: Final = {"error_code": "file_expired"}


class FileUpload:
    """One upload under way. Nothing of it is visible before `finish`; `discard` leaves nothing behind."""

    def __init__(self, store: "FileStore", owner: str, limit: int, quota_left: int | None) -> None:
        self._store = store
        self._owner = owner
        self._limit = limit
        self._quota_left = quota_left
        self._id = f"file_{secrets.token_hex(12)}"
        self._writer = ContentWriter(store.contents, self._id)

    async def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            MessagesError: 413, the file is too large; 400, the quota is used up; 503, the disk failed.
        """
        size = self._writer.size + len(data)
        if size > self._limit:
            message = f"File exceeds the maximum size of {self._limit // MiB} MB"
            raise MessagesError("request_too_large", message)
        if self._quota_left is not None and size > self._quota_left:
            raise quota_exceeded()
        await self._writer.write(data)

    async def finish(self, filename: str | None, declared: str | None, expires: int | None) -> StoredFile:
        """Store the file.

        Args:
            filename: Its name, as the client sent it.
            declared: Its type, as the client sent it.
            expires: After how many seconds it expires; None for never.

        Raises:
            MessagesError: The database or the disk failed.
        """
        await self._writer.commit()
        name, now = safe_filename(filename), self._store.database.now()
        file = StoredFile(
            id=self._id,
            filename=name,
            mime_type=mime_type(self._writer.head, name, declared),
            size=self._writer.size,
            sha256=self._writer.sha256,
            created_at=now,
            expires_at=None if expires is None else now + expires,
        )
        try:
            await self._store.add(self._owner, file)
        except MessagesError:
            await asyncio.to_thread(self._store.contents.delete, self._id)
            raise
        return file

    async def discard(self) -> None:
        """Remove what was written so far; does nothing after `finish`."""
        await self._writer.discard()


class FileStore:
    """The files of all owners."""

    def __init__(self, database: Database, contents: Contents, *, max_bytes: int, quota: int | None) -> None:
        """Make the store.

        Args:
            database: Holds the rows.
            contents: Holds the bytes.
            max_bytes: The largest file.
            quota: How many bytes one owner may keep, batches included; None for any number.
        """
        self.database = database
        self.contents = contents
        self._max_bytes = max_bytes
        self._quota = quota

    async def upload(self, owner: str) -> FileUpload:
        """Begin an upload. The owner's expired files are removed first."""
        await self.remove_expired(owner)
        left = None
        if self._quota is not None:
            async with self.database.read() as connection:
                left = self._quota - await bytes_of(connection, owner, self.database.now())
        return FileUpload(self, owner, self._max_bytes, left)

    async def add(self, owner: str, file: StoredFile) -> None:
        """Add the row of a file whose bytes are there.

        Raises:
            MessagesError: 400, the quota was used up by other uploads meanwhile; or the database failed.
        """
        fields = {name: getattr(file, name) for name in StoredFile.__dataclass_fields__}
        async with self.database.write() as connection:
            if self._quota is not None:
                await lock_owner(connection, owner)
                if await bytes_of(connection, owner, self.database.now()) + file.size > self._quota:
                    raise quota_exceeded()
            await connection.execute(insert(files).values(owner=owner, **fields))

    async def get(self, owner: str, file_id: str) -> StoredFile:
        """Return a file.

        Raises:
            MessagesError: 404, the owner has no such file, or it has expired.
        """
        async with self.database.read() as connection:
            row = (
                await connection.execute(
                    select(files).where(
                        files.c.id == askable(file_id), files.c.owner == owner, files.c.deleted_at.is_(None)
                    )
                )
            ).first()
        if row is None:
            raise MessagesError("not_found_error", f"File not found: {file_id[:80]}")
        file = file_of(row)
        if file.expires_at is not None and file.expires_at <= self.database.now():
            raise MessagesError("not_found_error", f"File has expired: {file.id}", details=FILE_EXPIRED)
        return file

    async def page(self, owner: str, query: PageQuery) -> tuple[list[StoredFile], bool]:
        """Return a page of an owner's files, newest first, and whether more follow.

        Raises:
            MessagesError: 400, there is no file of the cursor's id.
        """
        async with self.database.read() as connection:
            rows, has_more = await page(connection, files, owner, query, *self._visible())
        return [file_of(row) for row in rows], has_more

    async def find(self, owner: str, ids: Sequence[str]) -> list[StoredFile]:
        """Return those of an owner's files that have one of the ids, newest first."""
        rows = select(files).where(
            files.c.owner == owner, files.c.id.in_(map(askable, ids)), *self._visible()
        )
        async with self.database.read() as connection:
            found = (await connection.execute(rows.order_by(files.c.number.desc()))).all()
        return [file_of(row) for row in found]

    def _visible(self) -> Any:
        now = self.database.now()
        return files.c.deleted_at.is_(None), files.c.expires_at.is_(None) | (files.c.expires_at > now)

    async def delete(self, owner: str, file_id: str) -> None:
        """Delete a file.

        Raises:
            MessagesError: 404, the owner has no such file.
        """
        file = await self.get(owner, file_id)
        await self._remove([file.id])

    async def remove_expired(self, owner: str | None = None) -> int:
        """Remove expired files of an owner, or of all; at most REMOVED_AT_ONCE. Returns how many it removed.

        Raises:
            MessagesError: The database failed.
        """
        expired = select(files.c.id).where(
            files.c.deleted_at.is_(None), files.c.expires_at <= self.database.now()
        )
        if owner is not None:
            expired = expired.where(files.c.owner == owner)
        async with self.database.read() as connection:
            ids = (await connection.execute(expired.limit(REMOVED_AT_ONCE))).scalars().all()
        if ids:
            await self._remove(ids)
        return len(ids)

    async def _remove(self, ids: Sequence[str]) -> None:
        async with self.database.write() as connection:
            rows = update(files).where(files.c.id.in_(ids))
            await connection.execute(rows.values(deleted_at=self.database.now()))
        for id_ in ids:
            await delete_content(self.contents, id_)

    async def blocks(self, file: StoredFile, start: int, length: int) -> AsyncIterator[bytes]:
        """Return an iterator over a part of a file's bytes.

        Raises:
            MessagesError: 500, the stored bytes are not the file's; 503, they can't be read.
        """
        try:
            size = await asyncio.to_thread(self.contents.size, file.id)
        except FileNotFoundError:
            raise corrupt(file) from None
        except OSError as error:
            raise store_error(error) from error
        if size != file.size:
            raise corrupt(file)
        return read_blocks(self.contents, file.id, start, length)

    async def data(self, file: StoredFile) -> bytes:
        """Return all bytes of a file, checked against its digest.

        Raises:
            MessagesError: 500, the stored bytes are not the file's; 503, they can't be read.
        """
        data = b"".join([block async for block in await self.blocks(file, 0, file.size)])
        digest = await asyncio.to_thread(hashlib.sha256, data)
        if digest.hexdigest() != file.sha256:
            raise corrupt(file)
        return data


def file_of(row: Any) -> StoredFile:
    """Return the file of a row."""
    return StoredFile(**{name: getattr(row, name) for name in StoredFile.__dataclass_fields__})


def corrupt(file: StoredFile) -> MessagesError:
    """Return the error of a file whose stored bytes were lost or changed."""
    return MessagesError("api_error", f"The stored bytes of {file.id} are damaged; upload the file again")
