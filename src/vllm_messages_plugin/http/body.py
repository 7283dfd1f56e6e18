"""Reads request bodies within limits on their size, their encoding and the time they take to arrive."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from fastapi import Request

from vllm_messages_plugin.http.wait_timer import WaitTimer
from vllm_messages_plugin.wire.errors import MessagesError

MiB = 1024 * 1024

MIN_BYTES_PER_SECOND = 4 * 1024
"""A body slower than this after its grace period is refused. Even a telephone modem sends 7 KiB a second."""

DRAIN_FACTOR = 4
"""An oversized body is read and discarded up to this multiple of the limit before it is refused."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a request body may take.

    Attributes:
        max_bytes: The largest body, after decompression.
        grace_seconds: How long a body may take at any rate; 0 for no limit on its time.
    """

    max_bytes: int
    grace_seconds: float = 0


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """Read the request's body, decompressed.

    Raises:
        MessagesError: 413 for a larger body, after the client has sent it: clients that are still sending
            often never read the response. 408 for a body that arrives too slowly. 400 for a content encoding
            other than gzip, or for broken gzip.
        ClientDisconnect: The client closed the connection before the body was complete.
    """
    return bytes(await read_buffer(request, limits))


async def read_buffer(request: Request, limits: BodyLimits) -> bytes | bytearray:
    """Read the request's body as `read_body` does, into a buffer that is not copied in the end.

    Copying a body of some hundred MB would block the event loop.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise _encoding_error(f"Content-Encoding '{encoding}' is not supported by this server", "unsupported")
    body = await _receive(request, limits)
    return await asyncio.to_thread(_gunzip, body, limits.max_bytes) if encoding == "gzip" else body


async def _receive(request: Request, limits: BodyLimits) -> bytearray:
    body = bytearray()
    size, limit = 0, limits.max_bytes
    async for chunk in arriving(request, limits.grace_seconds):
        size += len(chunk)
        if size <= limit:
            body += chunk
        else:
            body.clear()
        if size > DRAIN_FACTOR * limit:
            break
    if size > limit:
        raise too_large(limit)
    return body


async def arriving(request: Request, grace_seconds: float) -> AsyncIterator[bytes]:
    """Yield the chunks of a request's body, at a minimum rate.

    Only the time counts in which the server waits for the client: neither what the caller does with a chunk
    nor a time in which the event loop stands still.

    Args:
        request: The request, whose body has not been read.
        grace_seconds: How long the body may take at any rate; 0 for no limit on its time.

    Raises:
        MessagesError: 408, the body arrives too slowly.
        ClientDisconnect: The client closed the connection before the body was complete.
    """
    stream, timer = request.stream(), WaitTimer(grace_seconds)
    while (chunk := await _next_chunk(stream, timer if grace_seconds else None)) is not None:
        timer.seconds += len(chunk) / MIN_BYTES_PER_SECOND
        yield chunk


async def _next_chunk(stream: AsyncGenerator[bytes, None], timer: WaitTimer | None) -> bytes | None:
    """Wait for the next chunk, None at the end of the body; with a timer, until that expires."""
    if timer is None:
        return await anext(stream, None)
    try:
        async with asyncio.timeout(None) as timeout:
            timer.start(lambda: timeout.reschedule(0))
            return await anext(stream, None)
    except TimeoutError:
        raise _too_slow() from None
    finally:
        timer.stop()


def _too_slow() -> MessagesError:
    message = f"The request body arrived more slowly than {MIN_BYTES_PER_SECOND} bytes a second"
    return MessagesError("timeout_error", message, status=408)


def too_large(limit: int) -> MessagesError:
    """Return the 413 for a body above `limit` bytes."""
    return MessagesError("request_too_large", f"Request exceeds the maximum size of {limit // MiB} MB")


def _encoding_error(message: str, code: str) -> MessagesError:
    details = {"error_code": f"request_body_encoding_{code}"}
    return MessagesError("invalid_request_error", message, details=details)


def _gunzip(body: bytes | bytearray, limit: int) -> bytes:
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
