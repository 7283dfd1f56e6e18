"""Threads grow at their end, by one request at a time, for their owner, until they expire."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from vllm_messages_plugin.store.opening import Store, StoreOptions, open_store
from vllm_messages_plugin.store.schema import thread_turns, threads
from vllm_messages_plugin.store.threads import CLAIM_SECONDS
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.files import StoredFile
from vllm_messages_plugin.wire.threads import StoredThread, ThreadStart, ThreadTurn

START = ThreadStart({"system": '"Sei kurz. ü"'.encode(), "tools": b"[ ]"}, {"model": "a1"})
KEPT = StoreOptions("", Path()).thread_seconds


def turn(number: int, size: int = 0) -> ThreadTurn:
    return ThreadTurn(f"msg_{number}", b"m%d" % number + b"x" * size, b'{"r":%d}' % number)


async def continued(store: Store, number: int, owner: str = "me") -> StoredThread:
    """The thread after another turn behind reply `number - 1`."""
    thread = await store.threads.get(owner, f"msg_{number - 1}")
    claim = await store.threads.claim(thread)
    await store.threads.append(owner, thread, claim, turn(number))
    return await store.threads.get(owner, f"msg_{number}")


async def code_of(store: Store, message_id: str, owner: str = "me") -> str:
    """The error code with which a continue is refused."""
    with pytest.raises(MessagesError) as refused:
        await store.threads.get(owner, message_id)
    assert refused.value.details is not None
    return str(refused.value.details["error_code"])


def later(store: Store, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the store's clock."""
    now = store.database.now()
    monkeypatch.setattr(store.database, "now", lambda: now + seconds)


async def begun_and_claimed(store: Store) -> tuple[StoredThread, str]:
    """A thread with one turn, and the claim of a request that continues it."""
    await store.threads.create("me", START, turn(1))
    thread = await store.threads.get("me", "msg_1")
    return thread, await store.threads.claim(thread)


async def test_a_thread_comes_back_with_all_its_turns(store: Store, options: StoreOptions) -> None:
    await store.threads.create("me", START, turn(1))
    await continued(store, 2)
    thread = await continued(store, 3)
    assert (thread.start, list(thread.turns)) == (START, [turn(1), turn(2), turn(3)])
    other = open_store(options)  # another replica, or this one after a restart
    assert await other.threads.get("me", "msg_3") == thread
    await other.close()


async def test_a_message_is_continued_once(store: Store) -> None:
    await store.threads.create("me", START, turn(1))
    stale = await store.threads.get("me", "msg_1")
    await continued(store, 2)
    assert await code_of(store, "msg_1") == "thread_already_continued"
    with pytest.raises(MessagesError, match="continued already"):
        await store.threads.claim(stale)


async def test_of_many_continues_at_once_one_goes_on(store: Store) -> None:
    await store.threads.create("me", START, turn(1))
    thread = await store.threads.get("me", "msg_1")
    tried = await asyncio.gather(*(store.threads.claim(thread) for _ in range(8)), return_exceptions=True)
    claims = [each for each in tried if isinstance(each, str)]
    codes = {each.details["error_code"] for each in tried if isinstance(each, MessagesError) and each.details}
    assert (len(claims), codes) == (1, {"thread_continue_in_flight"})
    assert await code_of(store, "msg_1") == "thread_continue_in_flight"
    await store.threads.release(thread, "another claim")
    assert await code_of(store, "msg_1") == "thread_continue_in_flight"
    await store.threads.release(thread, claims[0])
    assert await store.threads.get("me", "msg_1") == thread
    await continued(store, 2)


async def test_what_one_owner_continues_no_other_finds(store: Store) -> None:
    await store.threads.create("me", START, turn(1))
    assert await code_of(store, "msg_1", "you") == await code_of(store, "msg_9") == "thread_not_found"


async def test_a_thread_expires_after_its_last_request(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.threads.create("me", START, turn(1))
    later(store, monkeypatch, KEPT - 1)
    thread = await continued(store, 2)
    later(store, monkeypatch, KEPT - 1)
    assert await store.threads.get("me", "msg_2") == thread
    later(store, monkeypatch, 2)
    assert await code_of(store, "msg_2") == "thread_not_found"
    with pytest.raises(MessagesError, match="No thread is held"):
        await store.threads.claim(thread)
    assert (await store.retention.prune()).threads == 1
    async with store.database.read() as connection:
        for table in (threads, thread_turns):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_a_long_reply_keeps_its_thread_and_a_lost_claim_stores_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.threads.create("me", START, turn(1))
    later(store, monkeypatch, KEPT - 1)
    thread = await store.threads.get("me", "msg_1")
    claim = await store.threads.claim(thread)
    later(store, monkeypatch, CLAIM_SECONDS + 1)
    assert (await store.retention.prune()).threads == 0
    await store.threads.append("me", thread, claim, turn(2))
    with pytest.raises(MessagesError, match="No thread is held"):
        await store.threads.append("me", thread, claim, turn(3))
    assert len((await store.threads.get("me", "msg_2")).turns) == 2


async def test_the_claim_of_a_server_that_died_runs_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, lost = await begun_and_claimed(store)
    later(store, monkeypatch, CLAIM_SECONDS - 1)
    assert await code_of(store, "msg_1") == "thread_continue_in_flight"
    later(store, monkeypatch, 2)
    await continued(store, 2)
    with pytest.raises(MessagesError, match="No thread is held"):
        await store.threads.append("me", thread, lost, turn(3))


async def test_a_claim_that_is_extended_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    thread, claim = await begun_and_claimed(store)
    for _ in range(10):
        later(store, monkeypatch, CLAIM_SECONDS - 1)
        assert await code_of(store, "msg_1") == "thread_continue_in_flight"
        assert (await store.retention.prune()).threads == 0
        await store.threads.extend(thread, claim)
    await store.threads.append("me", thread, claim, turn(2))
    await store.threads.extend(thread, claim)
    assert len((await store.threads.get("me", "msg_2")).turns) == 2


async def test_an_extension_takes_no_thread_from_the_request_that_has_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, lost = await begun_and_claimed(store)
    later(store, monkeypatch, CLAIM_SECONDS + 1)
    claim = await store.threads.claim(thread)
    await store.threads.extend(thread, lost)
    await store.threads.append("me", thread, claim, turn(2))


async def test_a_quota_holds_for_threads_and_files_together(tmp_path: Path) -> None:
    store = open_store(StoreOptions("", tmp_path, quota_mb=1))
    half = 600_000
    await store.threads.create("me", START, turn(1, half))
    for number in (2, 3):
        with pytest.raises(MessagesError) as refused:
            await store.threads.create("me", START, turn(number, half))
        assert refused.value.details == {"error_code": "storage_quota_exceeded"}
        assert await code_of(store, f"msg_{number}") == "thread_not_found"
    thread = await store.threads.get("me", "msg_1")
    claim = await store.threads.claim(thread)
    with pytest.raises(MessagesError, match="quota"):
        await store.threads.append("me", thread, claim, turn(2, half))
    with pytest.raises(MessagesError, match="quota"):
        await store.files.add("me", StoredFile("file_1", "a", "text/plain", half, "", 0.0))
    await store.threads.create("you", START, turn(4, half))
    await store.close()


async def test_expired_threads_of_an_owner_free_its_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(StoreOptions("", tmp_path, quota_mb=1))
    await store.threads.create("me", START, turn(1, 900_000))
    later(store, monkeypatch, KEPT + 1)
    await store.threads.create("me", START, turn(2, 900_000))
    assert (await store.retention.prune()).threads == 0
    await store.close()
