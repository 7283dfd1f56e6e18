"""The HTTP transport that MCP clients use: guarded like every fetch of a URL that a client chose.

Each request goes to an address that `media.guard` has checked, redirects included, because every one of them
passes here. The bytes and JSON values of responses are bounded while they arrive. The MCP client library
reports little of why a request failed, so the transport remembers it.
"""

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import httpx
import httpx2

from vllm_messages_plugin.media.guard import (
    Address,
    FetchError,
    FetchRules,
    Resolve,
    checked_addresses,
    host_of,
)

MAX_ADDRESSES: Final = 4  # of one host, tried one after the other
MAX_REQUESTS: Final = 256  # of one session
MAX_JSON_VALUES: Final = 50_000  # of one response; parsing them takes less than 20 ms

_tls = functools.cache(httpx2.create_ssl_context)  # reads the trusted certificates: 40 ms


class ResponseTooLargeError(httpx2.StreamError):
    """A response has more bytes or JSON values than the rules allow."""


@dataclass(slots=True)
class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of one MCP session.

    Attributes:
        rules: The guard's rules; `max_bytes` of one response, `max_total_bytes` of all.
        resolve: Resolves host names.
        failure: Why the last request failed, in words for the client; empty after one that succeeded.
    """

    rules: FetchRules
    resolve: Resolve
    failure: str = ""
    _left: int = field(init=False)
    _requests: int = 0
    _inner: httpx2.AsyncHTTPTransport = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.rules.max_total_bytes
        self._inner = httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to a checked address.

        Raises:
            httpx2.TransportError: There is no connection, or the rules forbid it.
        """
        self._requests += 1
        try:
            if self._requests > MAX_REQUESTS:
                raise FetchError(f"it takes more than {MAX_REQUESTS} requests")
            target = httpx.URL(str(request.url))
            response = await self._sent(request, await checked_addresses(target, self.rules, self.resolve))
        except (FetchError, httpx.InvalidURL, UnicodeError) as error:
            self.failure = str(error) if isinstance(error, FetchError) else "it is not a valid URL"
            raise httpx2.ConnectError(self.failure) from error
        except (httpx2.TransportError, OSError) as error:
            self.failure = "the connection failed"
            raise httpx2.ConnectError(self.failure) from error
        return await self._checked(response)

    async def _sent(self, request: httpx2.Request, addresses: list[Address]) -> httpx2.Response:
        failure: Exception = FetchError("its host can't be found")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked(self, response: httpx2.Response) -> httpx2.Response:
        self.failure = "" if response.is_success else f"it answers HTTP {response.status_code}"
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            self.failure = "its content encoding is not supported"
            await response.aclose()
            raise httpx2.ConnectError(self.failure)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, self)
        return response

    def count(self, chunk: bytes, received: int, values: int) -> None:
        """Count a chunk of a response.

        Args:
            chunk: The chunk.
            received: The bytes of the response so far, with it.
            values: The JSON objects and lists of the response so far, with it.

        Raises:
            ResponseTooLargeError: The response is too large.
        """
        self._left -= len(chunk)
        if received > self.rules.max_bytes or self._left < 0:
            self.failure = f"its answer is larger than {self.rules.max_bytes} bytes"
        elif values > MAX_JSON_VALUES:
            self.failure = f"its answer has more than {MAX_JSON_VALUES} objects and lists"
        else:
            return
        raise ResponseTooLargeError(self.failure)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _pinned(request: httpx2.Request, address: Address) -> httpx2.Request:
    """The request to this very address, in the name of the URL's host; the certificate must be the host's."""
    host = host_of(httpx.URL(str(request.url)))
    headers = httpx2.Headers(request.headers)
    headers["accept-encoding"] = "identity"
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, counted as it arrives."""

    def __init__(self, body: httpx2.AsyncByteStream, transport: GuardedTransport) -> None:
        self._body = body
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = values = 0
        async for chunk in self._body:
            received += len(chunk)
            values += chunk.count(b"{") + chunk.count(b"[")
            self._transport.count(chunk, received, values)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
