"""What the routes need of the store, as protocols."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from vllm_messages_plugin.wire.batches import Batch, BatchItem, BatchResult
from vllm_messages_plugin.wire.files import StoredFile
from vllm_messages_plugin.wire.pages import PageQuery
from vllm_messages_plugin.wire.threads import StoredThread, ThreadStart, ThreadTurn


class FileUpload(Protocol):
    """One upload under way."""

    async def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            MessagesError: The file is too large, the quota is used up, or the disk failed.
        """
        ...

    async def finish(self, filename: str | None, declared: str | None, expires: int | None) -> StoredFile:
        """Store the file.

        Args:
            filename: Its name, as the client sent it.
            declared: Its type, as the client sent it.
            expires: After how many seconds it expires; None for never.
        """
        ...

    async def discard(self) -> None:
        """Remove what was written; does nothing after `finish`."""
        ...


class Files(Protocol):
    """The stored files of all owners. Every method raises MessagesError if the store fails."""

    async def upload(self, owner: str) -> FileUpload:
        """Begin an upload."""
        ...

    async def get(self, owner: str, file_id: str) -> StoredFile:
        """Return a file, or raise the 404 of one that the owner does not have."""
        ...

    async def page(self, owner: str, query: PageQuery) -> tuple[list[StoredFile], bool]:
        """Return a page of an owner's files, newest first, and whether more follow."""
        ...

    async def find(self, owner: str, ids: Sequence[str]) -> Sequence[StoredFile]:
        """Return those of an owner's files that have one of the ids, newest first."""
        ...

    async def delete(self, owner: str, file_id: str) -> None:
        """Delete a file, or raise the 404 of one that the owner does not have."""
        ...

    async def blocks(self, file: StoredFile, start: int, length: int) -> AsyncIterator[bytes]:
        """Return an iterator over a part of a file's bytes."""
        ...

    async def data(self, file: StoredFile) -> bytes:
        """Return all bytes of a file."""
        ...


class Batches(Protocol):
    """The stored batches of all owners. Every method raises MessagesError if the store fails."""

    async def create(
        self, owner: str, headers: Mapping[str, str], body: bytes | bytearray, items: Sequence[BatchItem]
    ) -> Batch:
        """Store a batch, whole or not at all.

        Args:
            owner: Whose batch it is.
            headers: The headers with which its items run.
            body: The request body.
            items: The parts of it that are requests.
        """
        ...

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Return a batch, or raise the 404 of one that the owner does not have."""
        ...

    async def page(self, owner: str, query: PageQuery) -> tuple[list[Batch], bool]:
        """Return a page of an owner's batches, newest first, and whether more follow."""
        ...

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel the items of a batch that have not begun, or raise the 400 of one that has ended."""
        ...

    async def delete(self, owner: str, batch_id: str) -> None:
        """Delete a batch, or raise the 400 of one that has not ended."""
        ...

    async def results(self, owner: str, batch_id: str) -> AsyncIterator[BatchResult]:
        """Return an iterator over the results of a batch, or raise the 400 of one that has not ended."""
        ...


class Threads(Protocol):
    """The message threads of all owners. Every method raises MessagesError if the store fails."""

    @property
    def claim_seconds(self) -> float:
        """How long a claim holds that is not extended."""
        ...

    async def get(self, owner: str, message_id: str) -> StoredThread:
        """Return the thread whose last reply has an id, or raise the error of one that can't be continued."""
        ...

    async def claim(self, thread: StoredThread) -> str:
        """Claim a thread for the one request that continues it, or raise the error of one that is claimed."""
        ...

    async def extend(self, thread: StoredThread, claim: str) -> None:
        """Let a claim hold for another `claim_seconds`; does nothing once it has ended."""
        ...

    async def release(self, thread: StoredThread, claim: str) -> None:
        """Give up a claim."""
        ...

    async def create(self, owner: str, start: ThreadStart, turn: ThreadTurn) -> None:
        """Store a new thread."""
        ...

    async def append(self, owner: str, thread: StoredThread, claim: str, turn: ThreadTurn) -> None:
        """Add a turn to a claimed thread, and end the claim."""
        ...


class Storage(Protocol):
    """What is stored for clients between requests."""

    @property
    def batches(self) -> Batches:
        """The stored batches."""
        ...

    @property
    def files(self) -> Files:
        """The stored files."""
        ...

    @property
    def threads(self) -> Threads:
        """The stored message threads."""
        ...
