"""Files are stored whole or not at all, and each owner sees its own."""

import asyncio
from pathlib import Path

import pytest

from vllm_messages_plugin.store.contents import RemoteContents
from vllm_messages_plugin.store.files import FileStore
from vllm_messages_plugin.store.opening import Store
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.files import StoredFile
from vllm_messages_plugin.wire.pages import PageQuery

MiB = 1 << 20


async def stored(
    files: FileStore, owner: str = "me", data: bytes = b"hello", name: str = "a.txt"
) -> StoredFile:
    upload = await files.upload(owner)
    await upload.write(data)
    return await upload.finish(name, None, None)


async def read(files: FileStore, file: StoredFile, start: int, length: int) -> bytes:
    return b"".join([block async for block in await files.blocks(file, start, length)])


async def test_a_file_comes_back_as_it_was_sent(store: Store) -> None:
    data = bytes(range(256)) * 10_000
    file = await stored(store.files, data=data)
    assert await store.files.get("me", file.id) == file
    assert await store.files.data(file) == data
    assert await read(store.files, file, 300, 2 * MiB) == data[300 : 300 + 2 * MiB]


async def test_an_owner_neither_finds_nor_deletes_the_files_of_another(store: Store) -> None:
    file = await stored(store.files, "me")
    with pytest.raises(MessagesError, match="File not found"):
        await store.files.get("you", file.id)
    with pytest.raises(MessagesError, match="File not found"):
        await store.files.delete("you", file.id)
    assert await store.files.find("you", [file.id]) == []
    assert await store.files.page("you", PageQuery()) == ([], False)
    with pytest.raises(MessagesError, match="after_id"):
        await store.files.page("you", PageQuery(after_id=file.id))
    assert await store.files.data(file) == b"hello"


async def test_pages_go_both_ways_and_survive_deletion_of_their_cursor(store: Store) -> None:
    made = [(await stored(store.files, data=str(n).encode())).id for n in range(5)][::-1]
    first, more = await store.files.page("me", PageQuery(2))
    assert ([file.id for file in first], more) == (made[:2], True)
    await store.files.delete("me", made[1])
    second, more = await store.files.page("me", PageQuery(2, after_id=made[1]))
    assert ([file.id for file in second], more) == (made[2:4], True)
    back, more = await store.files.page("me", PageQuery(2, before_id=made[4]))
    assert ([file.id for file in back], more) == (made[2:4], True)


def stored_names(directory: Path) -> list[str]:
    """The names of the files in a directory of contents, unfinished ones too."""
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


async def test_an_upload_that_is_broken_off_leaves_nothing(store: Store, tmp_path: Path) -> None:
    upload = await store.files.upload("me")
    await upload.write(b"x" * 3 * MiB)
    await upload.discard()
    assert await store.files.page("me", PageQuery()) == ([], False)
    assert stored_names(tmp_path / "data" / "contents") == []


async def test_an_upload_removes_the_expired_files_of_its_owner(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await store.files.upload("me")
    await upload.write(b"x" * 10)
    expired = await upload.finish("a.txt", None, 3600)
    kept = await stored(store.files, "you")
    now = store.database.now()
    monkeypatch.setattr(store.database, "now", lambda: now + 4000)
    new = await stored(store.files)
    assert stored_names(tmp_path / "data" / "contents") == sorted([kept.id, new.id])
    with pytest.raises(MessagesError, match="File not found"):
        await store.files.get("me", expired.id)


async def test_a_damaged_file_is_named(store: Store, tmp_path: Path) -> None:
    file = await stored(store.files)
    path = tmp_path / "data" / "contents" / file.id
    path.write_bytes(b"hellO")
    with pytest.raises(MessagesError, match=f"{file.id} are damaged"):
        await store.files.data(file)
    path.unlink()
    with pytest.raises(MessagesError, match=f"{file.id} are damaged"):
        await store.files.blocks(file, 0, 5)


async def test_a_quota_holds_for_each_owner_also_for_uploads_at_once(store: Store, tmp_path: Path) -> None:
    files = FileStore(store.database, store.contents, max_bytes=MiB, quota=100)
    results = await asyncio.gather(*(stored(files, data=b"x" * 60) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, StoredFile) for result in results) == 1
    assert {result.details["error_code"] for result in results if isinstance(result, MessagesError)} == {
        "storage_quota_exceeded"
    }
    assert len(stored_names(tmp_path / "data" / "contents")) == 1
    assert (await stored(files, "you", b"x" * 90)).size == 90


async def test_contents_at_an_fsspec_url_are_kept_like_local_ones(store: Store, tmp_path: Path) -> None:
    contents = RemoteContents(f"file://{tmp_path}/bucket/prefix")
    files = FileStore(store.database, contents, max_bytes=4 * MiB, quota=None)
    data = b"0123456789" * 300_000
    file = await stored(files, data=data)
    assert await read(files, file, 5, 2 * MiB) == data[5 : 5 + 2 * MiB]
    upload = await files.upload("me")
    await upload.write(data)
    await upload.discard()
    assert stored_names(tmp_path / "bucket" / "prefix") == [file.id]
    await files.delete("me", file.id)
    assert stored_names(tmp_path / "bucket" / "prefix") == []
