"""Message threads: a request that continues one becomes a request with the whole conversation in it.

`read_thread` puts the stored conversation into the body before anything else reads it, so the prompt, the
limits and the errors are those of a conversation that was sent whole. `ThreadReply` then stores what the
request and its reply add: after the last event was made and before it is sent, since a client may go on as
soon as it has it. A reply that was cut, refused or abandoned adds nothing.

Threads only save clients an upload. So a store that fails costs nobody a reply: it is answered as if the
thread had been forgotten, and clients send the whole conversation again.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core
from fastapi import Request

from vllm_messages_plugin.http.blocking import call
from vllm_messages_plugin.http.headers import beta_names
from vllm_messages_plugin.http.owner import owner_of
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.storage import Threads
from vllm_messages_plugin.stream.collect import Collector
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.events import StreamEvent
from vllm_messages_plugin.wire.request import CountTokensRequest, MessageParam
from vllm_messages_plugin.wire.sse import dump
from vllm_messages_plugin.wire.threads import (
    START_FIELDS,
    UNSUPPORTED,
    StoredThread,
    ThreadStart,
    ThreadTurn,
    body_members,
    fingerprint_mismatch,
    messages_text,
    not_found,
    unsupported,
    whole_body,
)

log = logging.getLogger("vllm.messages")

FIXED_FIELDS: Final[Sequence[str]] = (
    "model",
    "tool_choice",
    "thinking",
    "mcp_servers",
    "context_management",
    "output_config",
    "output_format",
    "cache_control",
)
"""Fields that every request of a thread has with the same value. So have the betas of its header."""
BETAS: Final = "anthropic-beta"
NOT_HERE: Final = "message threads are not supported in batches and token counts"
NULL: Final = b"null"


@dataclass(frozen=True, slots=True)
class ThreadRequest:
    """A request of a thread.

    Attributes:
        owner: Who the thread belongs to.
        start: What the thread's first request settled.
        messages: The messages that this request adds, as JSON text.
        continued: The thread that it continues; None for a new one.
    """

    owner: str
    start: ThreadStart
    messages: bytes
    continued: StoredThread | None = None


async def read_thread(
    http_request: Request, context: AppContext, body: bytes, request: CountTokensRequest, large: bool
) -> tuple[ThreadRequest, bytes]:
    """Read the thread that a request begins or continues.

    Args:
        http_request: The request as it came in.
        context: The app's context.
        body: Its body.
        request: Its parsed body, which has a `thread`.
        large: Whether work in proportion to the body must be done in a thread of the interpreter.

    Returns:
        What is to be stored, and the body with the whole conversation.

    Raises:
        MessagesError: 400 `thread_unsupported_request`, the server keeps no threads; 404 or 400, this one
            can't be continued, or the request has fields that it may not have.
    """
    if context.storage is None or not context.settings.thread_minutes:
        raise unsupported(f"{UNSUPPORTED}{context.storage_advice if context.storage is None else ''}")
    owner, betas = owner_of(http_request), beta_names(http_request)
    members, start = await call(large, _read_members, body, betas)
    added = messages_text(members)
    if request.continued_message is None:
        return ThreadRequest(owner, start, added), body
    _refuse_start_fields(members)
    try:
        thread = await context.storage.threads.get(owner, request.continued_message)
    except MessagesError as error:
        raise _forgotten(error) from error
    _check_fingerprint(thread.start.fingerprint, start.fingerprint)
    if request.messages and request.messages[0] == _reply_message(thread):
        raise invalid("The thread holds this reply already: send what follows it", "messages.0")
    whole = await asyncio.to_thread(whole_body, members, thread)
    return ThreadRequest(owner, thread.start, added, thread), whole


def _read_members(body: bytes, betas: set[str]) -> tuple[dict[str, bytes], ThreadStart]:
    members = body_members(body)
    given = {name: text for name, text in members.items() if text != NULL}
    fields = {name: given[name] for name in START_FIELDS if name in given}
    fingerprint = {name: _digest(given[name]) for name in FIXED_FIELDS if name in given}
    fingerprint[BETAS] = _digest(dump(sorted(betas - {""})))
    return members, ThreadStart(fields, fingerprint)


def _digest(text: bytes) -> str:
    """The digest of a JSON value, whatever the order of its keys. Values may be secret, so these are kept."""
    value = _ordered(pydantic_core.from_json(text))
    return hashlib.sha256(pydantic_core.to_json(value)).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(inner) for inner in value] if isinstance(value, list) else value


def _refuse_start_fields(members: Mapping[str, bytes]) -> None:
    for name in START_FIELDS:
        if name in members:
            raise invalid("A thread keeps the value of its first request: leave the field out", name)


def _check_fingerprint(stored: Mapping[str, str], given: Mapping[str, str]) -> None:
    changed = [name for name in (*FIXED_FIELDS, BETAS) if stored.get(name) != given.get(name)]
    if changed:
        raise fingerprint_mismatch(changed)


def _reply_message(thread: StoredThread) -> MessageParam:
    return MessageParam.model_validate_json(thread.turns[-1].reply)


def _forgotten(error: MessagesError) -> MessagesError:
    """The error of a continue: a failure of the store, which is logged, becomes a forgotten thread."""
    return not_found() if error.status >= 500 else error


class ThreadReply:
    """Stores what a request and its reply add to a thread.

    `claim` comes first, and the claim is extended until `release`. `observe` gets every event of the reply;
    `store` comes before the last event is sent, and `release` at the end, however the reply ended.
    """

    def __init__(self, threads: Threads, request: ThreadRequest) -> None:
        """Begin with nothing claimed.

        Args:
            threads: Where threads are stored.
            request: The request.
        """
        self._threads = threads
        self._request = request
        self._claim: str | None = None
        self._extending: asyncio.Task[None] | None = None
        self._collector = Collector()
        self._complete = False

    async def claim(self) -> None:
        """Claim the thread that the request continues, if it continues one.

        Raises:
            MessagesError: Another request has continued or claimed it, or it is forgotten.
        """
        thread = self._request.continued
        if thread is None:
            return
        try:
            self._claim = await self._threads.claim(thread)
        except MessagesError as error:
            raise _forgotten(error) from error
        self._extending = asyncio.ensure_future(self._extend(thread, self._claim))

    async def _extend(self, thread: StoredThread, claim: str) -> None:
        """Extend the claim, each time a third of it is over, until canceled."""
        while True:
            await asyncio.sleep(self._threads.claim_seconds / 3)
            try:
                await self._threads.extend(thread, claim)
            except MessagesError as error:
                log.info("The claim of a message thread could not be extended: %s", error.message)

    async def release(self) -> None:
        """Give up the claim, if nothing was stored; the thread can then be continued by another request."""
        if self._extending is not None:
            self._extending.cancel()
        claim, self._claim = self._claim, None
        if claim is not None and self._request.continued is not None:
            await asyncio.shield(self._release(self._request.continued, claim))

    async def _release(self, thread: StoredThread, claim: str) -> None:
        try:
            await self._threads.release(thread, claim)
        except MessagesError as error:  # the claim then runs out by itself
            log.info("A message thread could not be released: %s", error.message)

    def observe(self, batch: list[StreamEvent]) -> None:
        """Collect the reply from its events."""
        for event in batch:
            if event["type"] == "error":
                return
            self._collector.feed(event)
            self._complete = event["type"] == "message_stop"

    async def store(self) -> None:
        """Store a complete turn. One that can't be stored is forgotten, as one that has expired."""
        if not self._complete:
            return
        message = self._collector.message
        assert message is not None, "the reply is complete"
        if message["stop_reason"] == "refusal":
            return  # SDKs begin a new thread after it
        reply = dump({"role": "assistant", "content": message["content"]})
        turn, request = ThreadTurn(message["id"], self._request.messages, reply), self._request
        try:
            if request.continued is None:
                await self._threads.create(request.owner, request.start, turn)
            elif self._claim is not None:
                await self._threads.append(request.owner, request.continued, self._claim, turn)
                self._claim = None
        except MessagesError as error:
            log.info("A message thread could not be stored: %s", error.message)
