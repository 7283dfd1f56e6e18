"""`/v1/files`: upload, list, describe, download and delete files."""

import re
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from vllm_messages_plugin.http.headers import beta_names, request_id_of
from vllm_messages_plugin.http.multipart import NOT_MULTIPART, PartData, PartStart, parts
from vllm_messages_plugin.http.owner import owner_of
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.http.queries import page_query
from vllm_messages_plugin.http.routing import MessagesRoute
from vllm_messages_plugin.http.storage import Files, FileUpload
from vllm_messages_plugin.media.reader import NO_FILES
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.files import (
    LEGACY_LIST_BETA,
    MAX_EXPIRES_SECONDS,
    MIN_EXPIRES_SECONDS,
    StoredFile,
    file_metadata,
)
from vllm_messages_plugin.wire.pages import cursor_page, id_page
from vllm_messages_plugin.wire.sse import dump

MAX_IDS: Final = 100
MAX_FIELD_BYTES: Final = 1024

router = APIRouter(route_class=MessagesRoute)

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@router.post("/v1/files", response_model=None)
async def upload_file(request: Request) -> Response:
    """Store a file from a form with a part named `file`."""
    upload = await _files(request).upload(owner_of(request))
    try:
        stored = await _receive(request, upload)
    finally:
        await upload.discard()
    return _json(file_metadata(stored), request)


async def _receive(request: Request, upload: FileUpload) -> StoredFile:
    file: PartStart | None = None
    current: PartStart | None = None
    expires = b""
    async for event in parts(request, app_context(request).settings.slow_request_seconds):
        if isinstance(event, PartStart):
            current = event
            if event.name == "file":
                if file is not None:
                    raise invalid("Only one file may be uploaded at a time", "file")
                file = event
        elif current is not None and current.name == "file":
            await upload.write(event.data)
        elif current is not None and current.name == "expires_in_seconds":
            expires = _field(expires, event)
    if file is None:
        raise invalid(NOT_MULTIPART, "file")
    return await upload.finish(file.filename, file.content_type, _expires(expires.decode("latin-1")))


def _field(value: bytes, more: PartData) -> bytes:
    if len(value) + len(more.data) > MAX_FIELD_BYTES:
        raise invalid("Input is too long", "expires_in_seconds")
    return value + more.data


def _expires(value: str) -> int | None:
    if not value:
        return None
    digits = value if value.isascii() and value.isdecimal() and len(value) <= 9 else "0"
    if not MIN_EXPIRES_SECONDS <= int(digits) <= MAX_EXPIRES_SECONDS:
        limits = f"from {MIN_EXPIRES_SECONDS} to {MAX_EXPIRES_SECONDS}"
        raise invalid(f"Input should be a whole number {limits}", "expires_in_seconds")
    return int(digits)


@router.get("/v1/files", response_model=None)
async def list_files(request: Request) -> Response:
    """Return a page of files, newest first, in the shape that the `anthropic-beta` header selects."""
    files, owner = _files(request), owner_of(request)
    ids = [*request.query_params.getlist("ids[]"), *request.query_params.getlist("ids")]
    if ids:
        found, has_more = await files.find(owner, _checked_ids(ids, request)), False
    else:
        found, has_more = await files.page(owner, page_query(request.query_params))
    entries = [file_metadata(file) for file in found]
    legacy = LEGACY_LIST_BETA in beta_names(request)
    return _json(id_page(entries, has_more) if legacy else cursor_page(entries, has_more), request)


def _checked_ids(ids: list[str], request: Request) -> list[str]:
    distinct = list(dict.fromkeys(ids))
    if len(distinct) > MAX_IDS:
        raise invalid(f"At most {MAX_IDS} ids may be given", "ids")
    if "page" in request.query_params or "limit" in request.query_params:
        raise invalid("`ids` can't be combined with `page` or `limit`", "ids")
    return distinct


@router.get("/v1/files/{file_id}", response_model=None)
async def retrieve_file(file_id: str, request: Request) -> Response:
    """Return the description of a file."""
    return _json(file_metadata(await _files(request).get(owner_of(request), file_id)), request)


@router.delete("/v1/files/{file_id}", response_model=None)
async def delete_file(file_id: str, request: Request) -> Response:
    """Delete a file."""
    await _files(request).delete(owner_of(request), file_id)
    return _json({"id": file_id, "type": "file_deleted"}, request)


@router.get("/v1/files/{file_id}/content", response_model=None)
async def download_file(file_id: str, request: Request) -> Response:
    """Return a file's bytes, or the part of them that a `Range` header names."""
    files = _files(request)
    file = await files.get(owner_of(request), file_id)
    part = _range(request.headers.get("range"), file.size)
    start, length = part or (0, file.size)
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": f"attachment; filename*=UTF-8''{urllib.parse.quote(file.filename, safe='')}",
        "content-length": str(length),
        "request-id": request_id_of(request),
        "x-content-type-options": "nosniff",
    }
    if part is not None:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{file.size}"
    blocks: AsyncIterator[bytes] = await files.blocks(file, start, length)
    return StreamingResponse(blocks, 200 if part is None else 206, headers, file.mime_type)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """The start and the length of the requested part; None for the whole file.

    Raises:
        MessagesError: 416, the part is outside of the file.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None  # several ranges and unknown units may be ignored (RFC 9110, 14.2)
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        message = f"The range is outside of the file's {size} bytes"
        raise MessagesError("invalid_request_error", message, param="range", status=416)
    return start, end - start


def _files(request: Request) -> Files:
    context = app_context(request)
    if context.storage is None:
        raise MessagesError("not_found_error", f"{NO_FILES}{context.storage_advice}")
    return context.storage.files


def _json(value: Any, request: Request) -> Response:
    return Response(
        dump(value), media_type="application/json", headers={"request-id": request_id_of(request)}
    )
