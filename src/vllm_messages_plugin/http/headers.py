"""Request ids, `anthropic-beta` values, API keys and the size and encoding limits of request bodies."""

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

DRAIN_FACTOR = 4
"""An oversized body is read and discarded up to this multiple of the limit before it is refused."""


def assign_request_id(scope: dict[str, Any]) -> str:
    """Create a request id and store it in the ASGI scope."""
    request_id = new_request_id()
    scope.setdefault("state", {})[STATE_KEY] = request_id
    return request_id


def request_id_of(request: Request) -> str:
    """Return the request's id; a new one if the middleware assigned none."""
    found: str = getattr(request.state, STATE_KEY, "") or new_request_id()
    return found


def beta_names(request: Request) -> set[str]:
    """Return the values of all `anthropic-beta` headers. Unknown values are never refused."""
    values = request.headers.getlist("anthropic-beta")
    return {beta.strip() for value in values for beta in value.split(",")}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def accept_x_api_key(scope: dict[str, Any], keys: Sequence[str]) -> None:
    """Copy a valid `x-api-key` to `Authorization`, the only header that vLLM's own check reads."""
    key = Headers(scope=scope).get("x-api-key")
    if key is None or not _is_one_of(key, keys):
        return
    scope["headers"] = list(scope["headers"])
    MutableHeaders(scope=scope)["authorization"] = f"Bearer {key}"


def _is_one_of(key: str, valid_keys: Iterable[str]) -> bool:
    """Compare a key with every valid one in constant time."""
    matches = [secrets.compare_digest(_digest(key), _digest(valid)) for valid in valid_keys]
    return any(matches)


def too_large(limit: int) -> MessagesError:
    """Return the 413 for a body above `limit` bytes."""
    return MessagesError(
        "request_too_large", f"Request exceeds the maximum size of {limit // (1024 * 1024)} MB"
    )


async def read_body(request: Request, limit: int) -> bytes:
    """Read the request's body, decompressed.

    Args:
        request: The request.
        limit: The largest body to accept, in bytes, after decompression.

    Raises:
        MessagesError: 413 for a larger body, after the client has sent it: clients that are still sending
            often never read the response. 400 for a content encoding other than gzip, or for broken gzip.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise _encoding_error(f"Content-Encoding '{encoding}' is not supported by this server", "unsupported")
    body = await _receive(request, limit)
    return await asyncio.to_thread(_gunzip, body, limit) if encoding == "gzip" else body


def _encoding_error(message: str, code: str) -> MessagesError:
    details = {"error_code": f"request_body_encoding_{code}"}
    return MessagesError("invalid_request_error", message, details=details)


def _gunzip(body: bytes, limit: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error:
        raise _encoding_error("The request body is not valid gzip", "invalid") from None
    if len(plain) > limit:
        details = {"error_code": "request_body_too_large_after_decoding"}
        raise MessagesError("request_too_large", too_large(limit).message, details=details)
    if not decompressor.eof:
        raise _encoding_error("The request body is incomplete gzip", "invalid")
    return plain


async def _receive(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > DRAIN_FACTOR * limit:
                break
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)
