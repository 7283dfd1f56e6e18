"""Message Batches: the items of a batch's body, its description, and the lines of its results.

The fields are those of `anthropic.types.messages.MessageBatch` and of `MessageBatchIndividualResponse`.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.json_reading import read_json
from vllm_messages_plugin.wire.json_spans import JsonSyntaxError, Spans
from vllm_messages_plugin.wire.pages import timestamp

MAX_ITEMS: Final = 100_000
MAX_BODY_MB: Final = 256

ResultKind = Literal["succeeded", "errored", "canceled", "expired"]
RESULT_KINDS: Final[tuple[ResultKind, ...]] = ("succeeded", "errored", "canceled", "expired")
_BODY_NAME: Final[Mapping[ResultKind, str]] = {"succeeded": "message", "errored": "error"}

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_USUAL_ITEM = re.compile(rb'\{\s*"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"\s*,\s*"params"\s*:\s*(?=\{)')
"""The begin of an item as SDKs write it, which is found in half the time of any other."""
_END = re.compile(rb"\s*\}")
_TURN: Final = 64
"""After so many items, about a millisecond, other threads of the interpreter get a turn."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One request of a batch: its name, and where its `params` stand in the batch's body, in bytes."""

    custom_id: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is known of a batch. Times are Unix seconds.

    Attributes:
        id: Its id.
        status: `in_progress`, `canceling` or `ended`.
        items: How many requests it has.
        created_at: When it was created.
        expires_at: When the items that have not begun expire.
        cancel_initiated_at: When it was canceled; None if it was not.
        ended_at: When its last item ended; None before.
        archived_at: When its results were removed; None before.
        counts: How many items have ended in which way.
    """

    id: str
    status: str
    items: int
    created_at: float
    expires_at: float
    cancel_initiated_at: float | None = None
    ended_at: float | None = None
    archived_at: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How an item ended; `body` is the message or the error body, as JSON, where the kind has one."""

    custom_id: str
    kind: ResultKind
    body: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """An item that is to be run.

    Attributes:
        owner: Who created its batch.
        headers: The headers of the request that created it, as far as items run with them.
        custom_id: The item's name.
        body: Its `params`, as JSON.
    """

    owner: str
    headers: Mapping[str, str]
    custom_id: str
    body: bytes


def message_batch(batch: Batch, results_url: str) -> dict[str, Any]:
    """Return the description of a batch as the API writes it.

    All items count as `processing` until the whole batch has ended, as at Anthropic
    (`anthropic.types.messages.MessageBatchRequestCounts`).

    Args:
        batch: The batch.
        results_url: Where its results are, once there are any.
    """
    ended = batch.ended_at is not None
    counts = {kind: batch.counts.get(kind, 0) if ended else 0 for kind in RESULT_KINDS}
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": {"processing": 0 if ended else batch.items, **counts},
        "created_at": timestamp(batch.created_at),
        "expires_at": timestamp(batch.expires_at),
        "ended_at": _time(batch.ended_at),
        "cancel_initiated_at": _time(batch.cancel_initiated_at),
        "archived_at": _time(batch.archived_at),
        "results_url": results_url if ended and batch.archived_at is None else None,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def result_line(result: BatchResult) -> bytes:
    """Return the line of an item's result."""
    name = _BODY_NAME.get(result.kind)
    body = f',"{name}":{result.body}' if name is not None else ""
    return f'{{"custom_id":"{result.custom_id}","result":{{"type":"{result.kind}"{body}}}}}\n'.encode()


def batch_items(body: bytes | bytearray, check: Callable[[bytes], object]) -> list[BatchItem]:
    """Find the items in the body of a new batch. Takes seconds for a large body: call it in a thread.

    Args:
        body: The JSON text. The `params` of items are checked for nothing but their syntax: what else is
            wrong with them is the item's own result.
        check: Raises MessagesError for the text of an item that must not be parsed.

    Raises:
        MessagesError: 400, the body is malformed or has too many items, or a `custom_id` is malformed or not
            unique; 413, an item has too many values.
    """
    cursor, items = Spans(body), None
    try:
        for key in cursor.members():
            if key == "requests":
                items = list(_items(cursor, body, check))
            else:
                start, end = cursor.value()
                _parsed(bytes(body[start:end]), key, check)
        cursor.end()
    except JsonSyntaxError as error:
        raise _not_json(str(error)) from None
    if items is None:
        raise invalid("Field required", "requests")
    if not items:
        raise invalid("List should have at least 1 item", "requests")
    return items


def _not_json(reason: str) -> MessagesError:
    return invalid(f"The request body is not valid JSON: {reason}")


def _items(cursor: Spans, body: bytes | bytearray, check: Callable[[bytes], object]) -> Iterator[BatchItem]:
    """The items of the list at the cursor."""
    if body[cursor.at : cursor.at + 1] != b"[":
        raise invalid("Input should be a list", "requests")
    numbers: dict[str, int] = {}
    for number, _ in enumerate(cursor.elements()):
        if number >= MAX_ITEMS:
            raise invalid(f"List should have at most {MAX_ITEMS} items", "requests")
        if number % _TURN == 0:
            time.sleep(0)
        item = _item(cursor, body, f"requests.{number}", check)
        if (first := numbers.setdefault(item.custom_id, number)) != number:
            quoted = json.dumps(item.custom_id)
            reason = f"custom_id values must be unique: {quoted} is also requests.{first}'s"
            raise invalid(reason, f"requests.{number}.custom_id")
        yield item


def _item(cursor: Spans, body: bytes | bytearray, path: str, check: Callable[[bytes], object]) -> BatchItem:
    """The item at the cursor."""
    begin, params = cursor.at, None
    if (usual := _USUAL_ITEM.match(body, begin)) is not None:
        cursor.at = usual.end()
        start, stop = cursor.value()
        if (end := _END.match(body, stop)) is not None:
            cursor.at = end.end()
            _parsed(bytes(body[start:stop]), path, check)
            return BatchItem(usual[1].decode(), start, stop - start)
        cursor.at = begin
    if body[begin : begin + 1] == b"{":
        for key in cursor.members():
            span = cursor.value()
            params = span if key == "params" else params
    else:
        cursor.value()
    value = _parsed(bytes(body[begin : cursor.at]), path, check)
    if not isinstance(value, dict):
        raise invalid("Input should be an object", path)
    custom_id = value.get("custom_id")
    if custom_id is None:
        raise invalid("Field required", f"{path}.custom_id")
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise invalid(f"String should match pattern '^{_CUSTOM_ID.pattern}$'", f"{path}.custom_id")
    if params is None or not isinstance(value.get("params"), dict):
        reason = "Input should be an object" if "params" in value else "Field required"
        raise invalid(reason, f"{path}.params")
    return BatchItem(custom_id, params[0], params[1] - params[0])


def _parsed(text: bytes, path: str, check: Callable[[bytes], object]) -> Any:
    """The value of an item; halves of surrogate pairs are accepted in it, as in a message."""
    try:
        check(text)
    except MessagesError as error:
        raise MessagesError(error.kind, error.message, param=path, status=error.status) from None
    try:
        return read_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _not_json(f"{path}: {error}") from None
