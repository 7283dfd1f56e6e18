"""The bytes of files: in a directory, or at an fsspec URL such as `s3://bucket/prefix`.

Bytes are written aside and appear under their key with `commit`, whole or not at all. Keys are made by the
store; no name that a client chose becomes a path.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from vllm_messages_plugin.store.database import store_error
from vllm_messages_plugin.wire.files import SNIFFED_BYTES

log = logging.getLogger("vllm.messages.store")

BLOCK_BYTES: Final = 1 << 20
"""How many bytes are written or read in one call of a thread."""
UNFINISHED: Final = ".part"


class Contents(Protocol):
    """Where bytes are kept. The methods block, and are called in threads."""

    def create(self, key: str) -> Any:
        """Open a new content; it has `write`, `commit` and `discard`."""
        ...

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return so many bytes of a content from a position on; fewer at its end."""
        ...

    def size(self, key: str) -> int:
        """Return the length of a content in bytes.

        Raises:
            FileNotFoundError: There is none of this key.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a content, if there is one of this key."""
        ...


class _NewLocalContent:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        self._file: BinaryIO = os.fdopen(
            os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        )

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.rename(self._path)

    def discard(self) -> None:
        try:
            self._file.close()
        finally:
            self._aside.unlink(missing_ok=True)


class LocalContents:
    """Contents as files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, key: str) -> _NewLocalContent:
        """Open a new content."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _NewLocalContent(self._directory / key)

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return a part of a content."""
        with (self._directory / key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def size(self, key: str) -> int:
        """Return the length of a content."""
        return (self._directory / key).stat().st_size

    def delete(self, key: str) -> None:
        """Remove a content."""
        (self._directory / key).unlink(missing_ok=True)


class _NewRemoteContent:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.close()
        self._file.commit()

    def discard(self) -> None:
        self._file.close()
        self._file.discard()


class RemoteContents:
    """Contents at an fsspec URL. Its package, such as `s3fs`, is the operator's to install."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._files, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def create(self, key: str) -> _NewRemoteContent:
        """Open a new content."""
        self._files.makedirs(self._root, exist_ok=True)
        return _NewRemoteContent(self._files.open(self._path(key), "wb", autocommit=False))

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return a part of a content."""
        found: bytes = self._files.cat_file(self._path(key), start=start, end=start + length)
        return found

    def size(self, key: str) -> int:
        """Return the length of a content."""
        return int(self._files.size(self._path(key)))

    def delete(self, key: str) -> None:
        """Remove a content."""
        if self._files.exists(self._path(key)):
            self._files.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


def open_contents(location: str | Path) -> Contents:
    """Return the contents of a directory or of an fsspec URL."""
    return LocalContents(location) if isinstance(location, Path) else RemoteContents(location)


class ContentWriter:
    """Writes one content as its bytes arrive, in blocks, off the event loop."""

    def __init__(self, contents: Contents, key: str) -> None:
        self._contents = contents
        self._key = key
        self._file: Any = None
        self._block = bytearray()
        self._hash = hashlib.sha256()
        self.size = 0
        self.head = b""

    @property
    def sha256(self) -> str:
        """The digest of all bytes; valid after `commit`."""
        return self._hash.hexdigest()

    async def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            MessagesError: The disk is full or failed.
        """
        if len(self.head) < SNIFFED_BYTES:
            self.head += data[: SNIFFED_BYTES - len(self.head)]
        self.size += len(data)
        self._block += data
        if len(self._block) >= BLOCK_BYTES:
            await self._in_thread(self._flush)

    async def commit(self) -> None:
        """Make the content appear under its key.

        Raises:
            MessagesError: The disk is full or failed.
        """
        await self._in_thread(self._commit)

    async def discard(self) -> None:
        """Remove what was written. Never fails: what can't be removed is logged."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            await asyncio.shield(asyncio.to_thread(file.discard))
        except OSError as error:
            log.warning("An unfinished upload can't be removed now: %s", error)

    async def _in_thread(self, work: Any) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            raise store_error(error) from error

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._contents.create(self._key)
        block = bytes(self._block)
        self._block.clear()
        self._hash.update(block)
        self._file.write(block)

    def _commit(self) -> None:
        self._flush()
        self._file.commit()
        self._file = None


async def delete_content(contents: Contents, key: str) -> None:
    """Delete a content that no row names any more. Never fails: what can't be deleted is logged."""
    try:
        await asyncio.to_thread(contents.delete, key)
    except OSError as error:
        log.warning("The bytes of the deleted %s can't be removed now: %s", key, error)


async def read_blocks(contents: Contents, key: str, start: int, length: int) -> AsyncIterator[bytes]:
    """Yield a part of a content in blocks.

    Raises:
        OSError: The content ends early or can't be read.
    """
    end = start + length
    while start < end:
        block = await asyncio.to_thread(contents.read, key, start, min(BLOCK_BYTES, end - start))
        if not block:
            raise OSError(f"the stored content {key} ends at byte {start} of {end}")
        start += len(block)
        yield block
