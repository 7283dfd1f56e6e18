"""`/v1/messages/batches`: create, list, describe, cancel and delete batches, and their results."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from vllm_messages_plugin.http.batch_items import KEPT_HEADERS
from vllm_messages_plugin.http.body import BodyLimits, MiB, read_buffer
from vllm_messages_plugin.http.collector_pause import pause_for
from vllm_messages_plugin.http.gradual_release import free
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.json_size import check_json_size
from vllm_messages_plugin.http.owner import owner_of
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.http.queries import page_query
from vllm_messages_plugin.http.routing import MessagesRoute
from vllm_messages_plugin.http.storage import Batches
from vllm_messages_plugin.wire.batches import (
    MAX_BODY_MB,
    Batch,
    BatchResult,
    batch_items,
    message_batch,
    result_line,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.pages import id_page
from vllm_messages_plugin.wire.sse import dump

NO_BATCHES: Final = "Message Batches are not available on this server"
PATH: Final = "/v1/messages/batches"
DONE_HEADER: Final = "x-batch-items-done"
JSON_LINES: Final = "application/x-jsonl"
SHORTEST_ITEM: Final = 28
"""The bytes of an item with empty `params`: a body has no more items than such ones would fit into it."""

router = APIRouter(route_class=MessagesRoute)


@router.post(PATH, response_model=None)
async def create_batch(request: Request) -> Response:
    """Store a batch, whose items then run in the background."""
    batches, context = _batches(request), app_context(request)
    limits = BodyLimits(MAX_BODY_MB * MiB, grace_seconds=context.settings.slow_request_seconds)
    body = await read_buffer(request, limits)
    pause_for(len(body) // SHORTEST_ITEM, request.scope)
    items = await asyncio.to_thread(batch_items, body, check_json_size)
    headers = {name: ",".join(request.headers.getlist(name)) for name in KEPT_HEADERS}
    kept = {name: value for name, value in headers.items() if value}
    try:
        batch = await batches.create(owner_of(request), kept, body, items)
    finally:
        await asyncio.to_thread(free, items)
    context.batch_created.set()
    return _described(batch, request)


@router.get(PATH, response_model=None)
async def list_batches(request: Request) -> Response:
    """Return a page of batches, newest first."""
    batches = _batches(request)
    found, has_more = await batches.page(owner_of(request), page_query(request.query_params))
    return _json(id_page([_description(batch, request) for batch in found], has_more), request)


@router.get(PATH + "/{message_batch_id}", response_model=None)
async def retrieve_batch(message_batch_id: str, request: Request) -> Response:
    """Return the description of a batch."""
    return _described(await _batches(request).get(owner_of(request), message_batch_id), request)


@router.post(PATH + "/{message_batch_id}/cancel", response_model=None)
async def cancel_batch(message_batch_id: str, request: Request) -> Response:
    """Cancel the items of a batch that have not begun."""
    return _described(await _batches(request).cancel(owner_of(request), message_batch_id), request)


@router.delete(PATH + "/{message_batch_id}", response_model=None)
async def delete_batch(message_batch_id: str, request: Request) -> Response:
    """Delete a batch that has ended."""
    await _batches(request).delete(owner_of(request), message_batch_id)
    return _json({"id": message_batch_id, "type": "message_batch_deleted"}, request)


@router.get(PATH + "/{message_batch_id}/results", response_model=None)
async def batch_results(message_batch_id: str, request: Request) -> Response:
    """Stream the results of a batch that has ended, one line for each item."""
    results = await _batches(request).results(owner_of(request), message_batch_id)
    headers = {"request-id": request_id_of(request)}
    return StreamingResponse(_lines(results), headers=headers, media_type=JSON_LINES)


async def _lines(results: AsyncIterator[BatchResult]) -> AsyncIterator[bytes]:
    async for result in results:
        yield result_line(result)


def _batches(request: Request) -> Batches:
    context = app_context(request)
    if context.storage is None:
        raise MessagesError("not_found_error", f"{NO_BATCHES}{context.storage_advice}")
    return context.storage.batches


def _description(batch: Batch, request: Request) -> dict[str, Any]:
    """A batch as the API writes it, with a URL of its results by which this client reached the server."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    host = request.headers.get("x-forwarded-host", request.headers.get("host", request.url.netloc))
    base = f"{scheme}://{host.split(',')[0].strip()}{request.scope.get('root_path', '')}"
    return message_batch(batch, f"{base}{PATH}/{batch.id}/results")


def _described(batch: Batch, request: Request) -> Response:
    """The description of a batch. A header has its progress: the API's counts don't change before its end."""
    response = _json(_description(batch, request), request)
    response.headers[DONE_HEADER] = str(sum(batch.counts.values()))
    return response


def _json(value: Any, request: Request) -> Response:
    return Response(
        dump(value), media_type="application/json", headers={"request-id": request_id_of(request)}
    )
