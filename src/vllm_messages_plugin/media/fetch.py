"""Downloads URLs that clients chose: guarded, bounded in size and time, several at once.

The connection goes to the very address that `guard` has checked, so that a name which resolves to another
address a moment later gains nothing, and every redirect is checked anew.
"""

import asyncio
import functools
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import httpx

from vllm_messages_plugin.media.guard import (
    Address,
    FetchError,
    FetchRules,
    MiB,
    Resolve,
    checked_addresses,
    host_of,
)

MAX_AT_ONCE: Final = 8
MAX_REDIRECTS: Final = 5
MAX_ADDRESSES: Final = 4  # of one host, tried one after the other

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "vllm-messages-plugin"}


class FetchedUrl(NamedTuple):
    """The body of a URL, decoded, its content type as the server declares it, and where it was in the end."""

    data: bytes
    content_type: str
    url: str = ""


class RequiredUrlError(Exception):
    """A URL without which the request can't be served could not be fetched."""

    def __init__(self, url: str, reason: FetchError) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


@dataclass(slots=True)
class _Fetcher:
    """The values that all fetches of one request share; `left` are the bytes they may still receive."""

    rules: FetchRules
    resolve: Resolve
    transport: httpx.AsyncHTTPTransport
    slots: asyncio.Semaphore
    left: int


async def fetch_all(
    urls: Sequence[str], required: Collection[str], rules: FetchRules, resolve: Resolve
) -> Mapping[str, FetchedUrl | FetchError]:
    """Fetch URLs, each once.

    Args:
        urls: The URLs, without repetitions.
        required: Those of them whose failure ends the other fetches.
        rules: What may be fetched, and how much of it.
        resolve: Resolves host names.

    Returns:
        For each URL its content, or why it could not be fetched.

    Raises:
        RequiredUrlError: one of the required URLs could not be fetched.
    """
    # Bare, without a client: no cookies, no proxies, no .netrc, no redirects of its own.
    once = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, limits=once)
    fetcher = _Fetcher(rules, resolve, transport, asyncio.Semaphore(MAX_AT_ONCE), rules.max_total_bytes)
    async with transport:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(_fetch(url, url in required, fetcher)) for url in urls}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
    return {url: task.result() for url, task in tasks.items()}


_tls = functools.cache(httpx.create_ssl_context)  # reads the trusted certificates: 40 ms


async def fetch_url(url: str, rules: FetchRules, resolve: Resolve) -> FetchedUrl:
    """Fetch one URL.

    Raises:
        FetchError: It can't be fetched.
    """
    found = (await fetch_all([url], [], rules, resolve))[url]
    if isinstance(found, FetchError):
        raise found
    return found


async def _fetch(url: str, required: bool, fetcher: _Fetcher) -> FetchedUrl | FetchError:
    async with fetcher.slots:
        try:
            async with asyncio.timeout(fetcher.rules.timeout):
                return await _followed(url, fetcher)
        except (TimeoutError, httpx.TimeoutException):
            failure = FetchError(f"no complete answer within {fetcher.rules.timeout:g} seconds")
        except zlib.error:
            failure = FetchError("its content encoding is broken")
        except (httpx.InvalidURL, UnicodeError):  # UnicodeError: a host such as `xn--` that IDNA can't read
            failure = FetchError("it is not a valid URL")
        except (httpx.HTTPError, OSError):
            failure = FetchError("the connection failed")
        except FetchError as error:
            failure = error
    if required:
        raise RequiredUrlError(url, failure)
    return failure


async def _followed(url: str, fetcher: _Fetcher) -> FetchedUrl:
    """Follow a URL's redirects to its content."""
    target = httpx.URL(url)
    for _ in range(MAX_REDIRECTS + 1):
        response = await _response(target, fetcher)
        try:
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return await _read(response, target, fetcher)
        finally:
            await response.aclose()
        if not fetcher.rules.allow_redirects:
            raise FetchError(f"HTTP {response.status_code}, and this server follows no redirects")
        target = target.join(location)
    raise FetchError(f"more than {MAX_REDIRECTS} redirects")


async def _response(target: httpx.URL, fetcher: _Fetcher) -> httpx.Response:
    """The response of the first address that takes the connection; its body is still to be read."""
    addresses = await checked_addresses(target, fetcher.rules, fetcher.resolve)
    failure: Exception = FetchError("its host can't be found")
    for address in addresses[:MAX_ADDRESSES]:
        try:
            return await fetcher.transport.handle_async_request(_request(target, address, fetcher.rules))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure


def _request(target: httpx.URL, address: Address, rules: FetchRules) -> httpx.Request:
    """A request to this very address, in the name of the URL's host; the certificate must be the host's."""
    timeout = httpx.Timeout(rules.timeout, connect=rules.timeout / 2)
    return httpx.Request(
        "GET",
        target.copy_with(host=str(address), fragment=None),
        headers={"host": target.netloc.decode("ascii"), **_HEADERS},
        extensions={"sni_hostname": host_of(target), "timeout": timeout.as_dict()},
    )


async def _read(response: httpx.Response, target: httpx.URL, fetcher: _Fetcher) -> FetchedUrl:
    if not response.is_success:
        busy = response.status_code == httpx.codes.TOO_MANY_REQUESTS
        raise FetchError(f"HTTP {response.status_code}", "busy" if busy else "inaccessible")
    most = fetcher.rules.max_bytes
    decode = _decoder(response.headers.get("content-encoding", ""))
    data = bytearray()
    async for chunk in response.aiter_raw():
        decoded = decode(chunk, most + 1 - len(data))
        fetcher.left -= len(decoded)
        data += decoded
        if len(data) > most:
            raise FetchError(f"it is larger than {most / MiB:g} MiB", "too_large")
        if fetcher.left < 0:
            most = fetcher.rules.max_total_bytes
            raise FetchError(f"all URLs together give more than {most / MiB:g} MiB", "too_large")
    return FetchedUrl(bytes(data), response.headers.get("content-type", ""), str(target))


def _decoder(encoding: str) -> Callable[[bytes, int], bytes]:
    """Decodes chunk after chunk, each to at most so many bytes: httpx itself decodes without a bound."""
    if encoding.lower() in ("", "identity"):
        return lambda chunk, _most: chunk
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise FetchError("its content encoding is not supported")
    return zlib.decompressobj(wbits=47).decompress  # gzip and zlib, recognised by their first bytes
