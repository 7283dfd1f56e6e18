"""Stored message threads: one row for each thread, and one for what each of its requests added.

A thread grows at its end alone. A request that continues it claims it first, so that of two requests only one
goes on; the claim ends when the reply is stored or given up, and its server extends it until then. A server
that is killed leaves its claim, which then runs out, and the thread can be continued from where it was. Until
then clients are told to send the whole conversation, which starts a new thread.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vllm_messages_plugin.store.database import Database
from vllm_messages_plugin.store.ids import askable
from vllm_messages_plugin.store.quota import bytes_of, lock_owner, quota_exceeded
from vllm_messages_plugin.store.schema import thread_turns, threads
from vllm_messages_plugin.wire.threads import (
    StoredThread,
    ThreadStart,
    ThreadTurn,
    already_continued,
    continue_in_flight,
    not_found,
)

CLAIM_SECONDS: Final = 60.0
"""How long a claim holds that is not extended; meanwhile its thread does not expire."""
STORE_SECONDS: Final = 5.0
"""Replies wait for their thread to be read and stored, so a slow database gets less time than elsewhere."""
REMOVED_AT_ONCE: Final = 100


class ThreadStore:
    """The message threads of all owners."""

    def __init__(
        self,
        database: Database,
        *,
        quota: int | None,
        keep_seconds: float,
        claim_seconds: float = CLAIM_SECONDS,
    ) -> None:
        """Make the store.

        Args:
            database: Holds the rows.
            quota: How many bytes one owner may keep, files and batches included; None for any number.
            keep_seconds: How long a thread is kept after its last request.
            claim_seconds: How long a claim holds that is not extended.
        """
        self.database = database
        self.claim_seconds = claim_seconds
        self._quota = quota
        self._keep_seconds = keep_seconds

    async def get(self, owner: str, message_id: str) -> StoredThread:
        """Return the thread whose last reply has an id.

        Raises:
            MessagesError: 404, the owner has no such thread, or it has expired; 400, the message was or is
                being continued; 503, the database failed.
        """
        asked = (thread_turns.c.message_id == askable(message_id), threads.c.owner == owner)
        joined = select(threads, thread_turns.c.number.label("turn")).join(
            thread_turns, thread_turns.c.thread == threads.c.number
        )
        async with self.database.read(STORE_SECONDS) as connection:
            row = (await connection.execute(joined.where(*asked))).first()
            if row is None:
                raise not_found()
            self._check(row, row.turn + 1)
            found = select(thread_turns).where(thread_turns.c.thread == row.number)
            turns = (await connection.execute(found.order_by(thread_turns.c.number))).all()
        return StoredThread(row.number, _start(row.start), [_turn(each) for each in turns])

    def _check(self, row: Any, turns: int) -> None:
        """Raise why a thread can't be continued behind so many turns, if it can't."""
        now = self.database.now()
        if row.expires_at <= now:
            raise not_found()
        if row.turns != turns:
            raise already_continued()
        if row.claimed_until > now:
            raise continue_in_flight()

    async def claim(self, thread: StoredThread) -> str:
        """Claim a thread for the request that continues it.

        Returns:
            The claim, with which the reply is added or the thread is released.

        Raises:
            MessagesError: 404, the thread has expired; 400, another request has continued or claimed it;
                503, the database failed.
        """
        claim, now = secrets.token_hex(8), self.database.now()
        free = (
            threads.c.number == thread.number,
            threads.c.turns == len(thread.turns),
            threads.c.claimed_until <= now,
            threads.c.expires_at > now,
        )
        claimed = {"claim": claim, **self._until(now)}
        async with self.database.write(STORE_SECONDS) as connection:
            if (await connection.execute(update(threads).where(*free).values(claimed))).rowcount:
                return claim
            found = select(threads).where(threads.c.number == thread.number)
            row = (await connection.execute(found)).first()
        if row is not None:
            self._check(row, len(thread.turns))
        raise not_found()

    def _until(self, now: float) -> Mapping[str, float]:
        """Until when a claim holds, and how long its thread is then kept for another request."""
        until = now + self.claim_seconds
        return {"claimed_until": until, "expires_at": until + self._keep_seconds}

    async def extend(self, thread: StoredThread, claim: str) -> None:
        """Let a claim hold for another `claim_seconds`; does nothing once it has ended.

        Raises:
            MessagesError: 503, the database failed.
        """
        held = update(threads).where(_claimed(thread, claim))
        async with self.database.write(STORE_SECONDS) as connection:
            await connection.execute(held.values(self._until(self.database.now())))

    async def release(self, thread: StoredThread, claim: str) -> None:
        """Give up a claim, so that the thread can be continued from the same message again."""
        async with self.database.write(STORE_SECONDS) as connection:
            await self._free(connection, _claimed(thread, claim), {})

    async def create(self, owner: str, start: ThreadStart, turn: ThreadTurn) -> None:
        """Store a new thread. The owner's expired ones are removed first.

        Raises:
            MessagesError: 400, the quota is used up; 503, the database failed.
        """
        now, text = self.database.now(), _start_text(start)
        size = len(text) + turn.size
        values = {
            "owner": owner,
            "start": text,
            "size": size,
            "turns": 1,
            "claimed_until": 0.0,
            "created_at": now,
            "expires_at": now + self._keep_seconds,
        }
        async with self.database.write(STORE_SECONDS) as connection:
            expired = (threads.c.owner == owner, threads.c.expires_at <= now)
            await connection.execute(delete(threads).where(*expired))
            await self._check_quota(connection, owner, size)
            row = await connection.execute(insert(threads).values(values).returning(threads.c.number))
            await _add(connection, row.scalar_one(), 0, turn)

    async def append(self, owner: str, thread: StoredThread, claim: str, turn: ThreadTurn) -> None:
        """Add a turn to a claimed thread, and end the claim.

        Raises:
            MessagesError: 404, the claim ran out and another request has the thread; 400, the quota is used
                up; 503, the database failed.
        """
        number = len(thread.turns)
        async with self.database.write(STORE_SECONDS) as connection:
            await self._check_quota(connection, owner, turn.size)
            grown = {"turns": number + 1, "size": threads.c.size + turn.size}
            if not await self._free(connection, _claimed(thread, claim), grown):
                raise not_found()
            await _add(connection, thread.number, number, turn)

    async def _free(
        self, connection: AsyncConnection, claimed: ColumnElement[bool], changed: Mapping[str, Any]
    ) -> int:
        expires = self.database.now() + self._keep_seconds
        values = {"claim": None, "claimed_until": 0.0, "expires_at": expires, **changed}
        return (await connection.execute(update(threads).where(claimed).values(values))).rowcount

    async def _check_quota(self, connection: AsyncConnection, owner: str, size: int) -> None:
        if self._quota is None:
            return
        await lock_owner(connection, owner)
        if await bytes_of(connection, owner, self.database.now()) + size > self._quota:
            raise quota_exceeded()

    async def remove_expired(self) -> int:
        """Remove expired threads; at most REMOVED_AT_ONCE. Returns how many it removed.

        Raises:
            MessagesError: The database failed.
        """
        expired = select(threads.c.number).where(threads.c.expires_at <= self.database.now())
        async with self.database.read() as connection:
            numbers = (await connection.execute(expired.limit(REMOVED_AT_ONCE))).scalars().all()
        if numbers:
            async with self.database.write() as connection:
                await connection.execute(delete(threads).where(threads.c.number.in_(numbers)))
        return len(numbers)


def _claimed(thread: StoredThread, claim: str) -> ColumnElement[bool]:
    return (threads.c.number == thread.number) & (threads.c.claim == claim)


async def _add(connection: AsyncConnection, thread: int, number: int, turn: ThreadTurn) -> None:
    texts = {"message_id": turn.message_id, "messages": turn.messages, "reply": turn.reply}
    await connection.execute(insert(thread_turns).values(thread=thread, number=number, **texts))


def _start_text(start: ThreadStart) -> bytes:
    fields = {name: text.decode() for name, text in start.fields.items()}
    return json.dumps({"fields": fields, "fingerprint": dict(start.fingerprint)}).encode()


def _start(text: bytes) -> ThreadStart:
    stored = json.loads(text)
    fields = {name: field.encode() for name, field in stored["fields"].items()}
    return ThreadStart(fields, stored["fingerprint"])


def _turn(row: Any) -> ThreadTurn:
    return ThreadTurn(row.message_id, row.messages, row.reply)
