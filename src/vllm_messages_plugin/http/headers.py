"""Request ids, keys and body limits: what is read off or put into headers.

Used by `errors.Envelope`, the outermost layer, and by the routes.
"""

import asyncio
import hashlib
import secrets
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders

from vllm_messages_plugin.wire.errors import MessagesError, new_request_id

STATE_KEY = "messages_request_id"


def give_request_id(scope: dict[str, Any]) -> str:
    """A fresh request id, kept in the scope for the routes."""
    request_id = new_request_id()
    scope.setdefault("state", {})[STATE_KEY] = request_id
    return request_id


def request_id_of(request: Request) -> str:
    """The id that the outermost layer gave this request."""
    found: str = getattr(request.state, STATE_KEY, "") or new_request_id()
    return found


def betas(request: Request) -> set[str]:
    """The values of every `anthropic-beta` header; none is ever refused."""
    values = request.headers.getlist("anthropic-beta")
    return {beta.strip() for value in values for beta in value.split(",")}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def accept_either_key(scope: dict[str, Any], keys: Sequence[str]) -> None:
    """Show vLLM's own check, which reads `Authorization` alone, a right key that came as `x-api-key`."""
    key = Headers(scope=scope).get("x-api-key")
    if key is None or not _is_one_of(key, keys):
        return
    scope["headers"] = list(scope["headers"])
    MutableHeaders(scope=scope)["authorization"] = f"Bearer {key}"


def _is_one_of(key: str, keys: Iterable[str]) -> bool:
    matches = [secrets.compare_digest(_digest(key), _digest(right)) for right in keys]
    return any(matches)


def too_large(limit: int) -> MessagesError:
    """The 413 for a body above `limit` bytes."""
    return MessagesError(
        "request_too_large", f"Request exceeds the maximum size of {limit // (1024 * 1024)} MB"
    )


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body, at most `limit` bytes of it kept.

    Raises:
        MessagesError: 413 for a larger one, once the client has sent it: one that is answered while it
            still sends often never reads the answer. 400 for an encoding we can't undo.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise _encoding_error(f"Content-Encoding '{encoding}' is not supported by this server", "unsupported")
    body = await _received(request, limit)
    return await asyncio.to_thread(_unzipped, body, limit) if encoding == "gzip" else body


def _encoding_error(message: str, code: str) -> MessagesError:
    details = {"error_code": f"request_body_encoding_{code}"}
    return MessagesError("invalid_request_error", message, details=details)


def _unzipped(body: bytes, limit: int) -> bytes:
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unzip.decompress(body, limit + 1)
    except zlib.error:
        raise _encoding_error("The request body is not valid gzip", "invalid") from None
    if len(plain) > limit:
        details = {"error_code": "request_body_too_large_after_decoding"}
        raise MessagesError("request_too_large", too_large(limit).message, details=details)
    if not unzip.eof:
        raise _encoding_error("The request body is not whole gzip", "invalid")
    return plain


async def _received(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > DRAINED * limit:
                break
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


DRAINED = 4
"""How many times the limit is read and thrown away before the connection is given up."""
