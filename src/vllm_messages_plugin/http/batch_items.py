"""Runs items of batches through the code of `/v1/messages`, without a connection.

An item becomes a request with the item's body, so it can do what a message can, and its errors are those of a
message. Errors of the server and not of the item are raised: another try may succeed, here or elsewhere.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import Caller
from vllm_messages_plugin.access.priority import PRIORITY_HEADER, batch_priority
from vllm_messages_plugin.access.request_record import BATCH_ITEM, RequestRecord
from vllm_messages_plugin.http.access_control import CALLER_KEY
from vllm_messages_plugin.http.admission import shutting_down
from vllm_messages_plugin.http.collector_pause import pause_ended
from vllm_messages_plugin.http.headers import STATE_KEY
from vllm_messages_plugin.http.messages import PATH, reply_to
from vllm_messages_plugin.http.owner import OWNER_KEY, caller_of_owner
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.records import RECORD_KEY, session_of
from vllm_messages_plugin.stream.failure_log import log_api_error
from vllm_messages_plugin.wire.batches import BatchResult, ItemRequest
from vllm_messages_plugin.wire.errors import MessagesError, error_body, internal_error, new_request_id
from vllm_messages_plugin.wire.sse import dump

HOLD_SECONDS: Final = 1.0
"""For how long clients that wait for their first token keep items from beginning. Then one item begins, so
that a server where somebody always waits still works on its batches."""
MANY: Final = 1 << 30
PASSING: Final = frozenset({"overloaded_error", "rate_limit_error"})
"""Errors after which an item is tried again."""
KEPT_HEADERS: Final = ("anthropic-beta", "anthropic-version", "x-claude-code-session-id", "x-session-id")
"""The headers of the request that created a batch with which its items run."""


class ItemRunner:
    """Runs items on one app."""

    def __init__(
        self, app: FastAPI, context: AppContext, accounting: Accounting, key_file: KeyFile | None
    ) -> None:
        """Make the runner.

        Args:
            app: The app whose state holds the context.
            context: What messages are served with.
            accounting: Counts what items use.
            key_file: The named keys; None if the server has none.
        """
        self._app = app
        self._context = context
        self._accounting = accounting
        self._key_file = key_file
        self._records: dict[str, RequestRecord] = {}  # of the items that run, by request id
        self._held_since: float | None = None  # since when no item may begin, by the monotonic clock

    def free_slots(self, begun: int) -> int:
        """Return how many more items may begin without a request having to wait for them.

        Args:
            begun: How many items have begun and not ended. Those that the engine has not seen yet will take a
                slot each.
        """
        if self._context.admission.is_shutting_down:
            return 0
        generating = sum(record.asked_tokens > 0 for record in self._records.values())
        free = max(self._context.backend.free_slots - (begun - generating), 0)
        return min(free, self._most_beginning())

    def _most_beginning(self) -> int:
        """How many items may begin: one each HOLD_SECONDS while a client waits for its first token."""
        now = time.monotonic()
        if not self._accounting.clients_wait:
            self._held_since = None
            return MANY
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since < HOLD_SECONDS:
            return 0
        self._held_since = now
        return 1

    async def run(self, item: ItemRequest) -> BatchResult:
        """Run an item and return its result.

        Raises:
            MessagesError: The server can't serve the item now; another try may succeed.
        """
        record = RequestRecord(new_request_id(), BATCH_ITEM)
        try:
            record.caller = caller_of_owner(item.owner, self._key_file, datetime.now(UTC))
            await self._accounting.begin_item(record)
        except MessagesError as error:
            return self._failed(item, record, error)
        self._records[record.request_id] = record
        try:
            return await self._run(item, record)
        finally:
            del self._records[record.request_id]
            await self._accounting.end_item(record)

    async def _run(self, item: ItemRequest, record: RequestRecord) -> BatchResult:
        request = self._request(item, record)
        try:
            with pause_ended(request.scope):
                response = await reply_to(request, in_batch=True)
        except MessagesError as error:
            return self._failed(item, record, error)
        except Exception as error:  # noqa: BLE001 - log_api_error logs it
            return self._failed(item, record, internal_error(error))
        record.status = 200
        return BatchResult(item.custom_id, "succeeded", bytes(response.body).decode())

    def _failed(self, item: ItemRequest, record: RequestRecord, error: MessagesError) -> BatchResult:
        """The result of an item that failed.

        Raises:
            MessagesError: The failure is the server's and passes.
        """
        record.status, record.error = error.status, error.kind
        if self._context.admission.is_shutting_down:
            raise shutting_down() from error
        if error.kind in PASSING or not self._context.backend.is_running:
            raise error
        log_api_error(error, record.request_id)
        return BatchResult(item.custom_id, "errored", dump(error_body(error, record.request_id)).decode())

    def _request(self, item: ItemRequest, record: RequestRecord) -> Request:
        sent = {**item.headers, "content-type": "application/json"}
        if self._context.settings.priority:
            sent[PRIORITY_HEADER] = str(batch_priority(record.caller))
        scope = _scope(self._app, Headers(sent), _state(item.owner, record.caller, record))
        record.session = session_of(scope)
        return Request(scope, _body_of(item.body))


def _state(owner: str, caller: Caller, record: RequestRecord) -> dict[str, Any]:
    """What the middleware puts into the scope of a request with a connection."""
    return {STATE_KEY: record.request_id, OWNER_KEY: owner, CALLER_KEY: caller, RECORD_KEY: record}


def _scope(app: FastAPI, headers: Headers, state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers.raw,
        "client": None,
        "server": None,
        "app": app,
        "state": dict(state),
    }


def _body_of(body: bytes) -> Receive:
    """The `receive` of a request whose client sends a body and stays connected."""
    waiting = [body]

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("nobody disconnects")

    return receive
