"""URL sources: what the URLs in a request give, put into the request as base64 or text sources.

Called by `reading`, before the translation. Clients choose these URLs, so the server must not be led to
where they could not go themselves: an address is checked before it is connected to, the connection goes to
the very address that was checked, and every redirect is checked anew.
"""

import asyncio
import base64
import functools
import ipaddress
import socket
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

import httpx
from pydantic import BaseModel

from vllm_messages_plugin.media.documents import image_type
from vllm_messages_plugin.wire import blocks
from vllm_messages_plugin.wire.blocks import Base64Source, Block, PlainTextSource, UrlSource
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import MessageParam, RequestT

MiB: Final = 1024 * 1024
MAX_URLS: Final = 100
MAX_AT_ONCE: Final = 8
MAX_REDIRECTS: Final = 5
MAX_ADDRESSES: Final = 4  # of one host, tried one after the other

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "vllm-messages-plugin"}
_CHARSETS: Final = ("big5", "euc-jp", "euc-kr", "gb18030", "iso-8859-1", "shift_jis", "windows-1252")
"""Text is read in one of these, else as UTF-8: some of Python's codecs take quadratic time."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises OSError when there are none."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched, and how much of it.

    `allowed_domains` are whole host names, None for any. `max_bytes` is for one URL, decoded;
    `max_total_bytes` for all of a request. `timeout` is in seconds, for one URL with all its redirects.
    """

    allowed_domains: tuple[str, ...] | None = None
    allow_redirects: bool = True
    allow_private: bool = False
    max_bytes: int = 32 * MiB
    max_total_bytes: int = 128 * MiB
    timeout: float = 10.0


async def system_addresses(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


class _Ask(NamedTuple):
    path: str
    kind: Literal["image", "PDF"]
    url: str


class _Answer(NamedTuple):
    data: bytes
    content_type: str


async def with_fetched(
    request: RequestT, *, rules: FetchRules, images: bool, resolve: Resolve = system_addresses
) -> RequestT:
    """The request with what its URLs give in their place; the very same request if it has none.

    Only what the model will be shown is fetched: blocks of user turns, and images only if `images`. A
    `data:` URL is left as it is, for there is nothing to fetch.

    Raises:
        MessagesError: 400 about the URL, worded so that agents take its block out and go on.
    """
    asked: list[_Ask] = []

    def note(ask: _Ask, source: UrlSource) -> Source:
        if (images or ask.kind != "image") and ask.url[:5].lower() != "data:":
            asked.append(ask)
        return source

    _visited(request.messages, note)
    if not asked:
        return request
    answers = await _answers(asked, rules, resolve)
    sources = await asyncio.to_thread(_sources, asked, answers)
    messages = _visited(request.messages, lambda ask, source: sources.get((ask.kind, ask.url), source))
    return request.model_copy(update={"messages": messages})


# Every URL source in its place. What a visit leaves as it was stays the same object.

Source = UrlSource | Base64Source | PlainTextSource
Visit = Callable[[_Ask, UrlSource], Source]
Model = TypeVar("Model", bound=BaseModel)


def _visited(messages: Sequence[MessageParam], visit: Visit) -> list[MessageParam]:
    """The messages with each URL source of the user's as `visit` gives it back."""
    return [
        _with(message, "content", _visited_content(message.content, f"messages.{position}.content", visit))
        if message.role == "user"
        else message
        for position, message in enumerate(messages)
    ]


def _visited_content(content: str | list[Block] | None, path: str, visit: Visit) -> str | list[Block] | None:
    if not isinstance(content, list):
        return content
    visited = [
        block
        if isinstance(block, blocks.TextBlockParam)
        else _visited_block(block, f"{path}.{position}", visit)
        for position, block in enumerate(content)
    ]
    return visited if any(new is not old for new, old in zip(visited, content, strict=True)) else content


def _visited_block(block: Block, path: str, visit: Visit) -> Block:
    match block:
        case blocks.ImageBlockParam(source=UrlSource() as source):
            ask = _Ask(f"{path}.image.source.url", "image", source.url)
            return _with(block, "source", visit(ask, source))
        case blocks.DocumentBlockParam(source=UrlSource() as source):
            ask = _Ask(f"{path}.document.source.url", "PDF", source.url)
            return _with(block, "source", visit(ask, source))
        case blocks.DocumentBlockParam(source=blocks.ContentSource() as source):
            inner = _visited_content(source.content, f"{path}.document.source.content", visit)
            return _with(block, "source", _with(source, "content", inner))
        case blocks.ToolResultBlockParam():
            inner = _visited_content(block.content, f"{path}.tool_result.content", visit)
            return _with(block, "content", inner)
        case _:
            return block


def _with(model: Model, field: str, value: object) -> Model:
    """The model with another value in a field, or itself if it is the same value."""
    return model if getattr(model, field) is value else model.model_copy(update={field: value})


def _sources(asked: Sequence[_Ask], answers: Mapping[str, _Answer]) -> dict[tuple[str, str], Source]:
    first = {(ask.kind, ask.url): ask for ask in reversed(asked)}
    return {key: _source(ask, answers[ask.url]) for key, ask in first.items()}


def _source(ask: _Ask, answer: _Answer) -> Base64Source | PlainTextSource:
    """What a URL gave, as the source its block takes; its type is told by the bytes first."""
    if ask.kind == "PDF" and b"%PDF-" not in answer.data[:1024]:
        return _text_source(ask, answer)
    data = base64.b64encode(answer.data).decode()
    kind = "application/pdf" if ask.kind == "PDF" else image_type(data, "", ask.path)
    if not kind:
        raise invalid("Could not process image: the URL gives no PNG, JPEG, GIF or WebP image", ask.path)
    return Base64Source(type="base64", media_type=kind, data=data)


def _text_source(ask: _Ask, answer: _Answer) -> PlainTextSource:
    if not answer.content_type.lower().startswith("text/"):
        raise invalid("Could not process PDF: the URL gives neither a PDF nor text", ask.path)
    named = next((name for name in _CHARSETS if name in answer.content_type.lower()), "utf-8-sig")
    return PlainTextSource(type="text", data=answer.data.decode(named, "replace"))


# Fetching.


class _FetchError(Exception):
    """Why a URL can't be fetched; says nothing of what stands behind it."""


@dataclass(slots=True)
class _Fetcher:
    """What every fetch of a request needs to know; `left` are the bytes they may still bring in."""

    rules: FetchRules
    resolve: Resolve
    transport: httpx.AsyncHTTPTransport
    slots: asyncio.Semaphore
    left: int


async def _answers(asked: Sequence[_Ask], rules: FetchRules, resolve: Resolve) -> dict[str, _Answer]:
    """What each URL gives. The first failure ends the other fetches."""
    first = {ask.url: ask for ask in reversed(asked)}
    if len(first) > MAX_URLS:
        late = list(dict.fromkeys(ask.url for ask in asked))[MAX_URLS]
        raise invalid(f"A maximum of {MAX_URLS} different URLs may be provided.", first[late].path)
    # Bare, without a client: no cookies, no proxies, no .netrc, no redirects of its own.
    once = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, limits=once)
    fetcher = _Fetcher(rules, resolve, transport, asyncio.Semaphore(MAX_AT_ONCE), rules.max_total_bytes)
    async with transport:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(_answer(ask, fetcher)) for url, ask in first.items()}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
    return {url: task.result() for url, task in tasks.items()}


_tls = functools.cache(httpx.create_ssl_context)  # reads the certificates we trust: 40 ms


async def _answer(ask: _Ask, fetcher: _Fetcher) -> _Answer:
    async with fetcher.slots:
        try:
            async with asyncio.timeout(fetcher.rules.timeout):
                return await _followed(ask.url, fetcher)
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no complete answer within {fetcher.rules.timeout:g} seconds"
        except zlib.error:
            reason = "its content encoding is broken"
        except (httpx.HTTPError, OSError):
            reason = "the connection failed"
        except httpx.InvalidURL:
            reason = "it is not a valid URL"
        except _FetchError as error:
            reason = str(error)
    raise invalid(f"Could not process {ask.kind}: the URL can't be fetched ({reason})", ask.path)


async def _followed(url: str, fetcher: _Fetcher) -> _Answer:
    """What a URL gives, by way of its redirects."""
    target = httpx.URL(url)
    for _ in range(MAX_REDIRECTS + 1):
        response = await _response(target, fetcher)
        try:
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return await _read(response, fetcher)
        finally:
            await response.aclose()
        if not fetcher.rules.allow_redirects:
            raise _FetchError(f"HTTP {response.status_code}, and this server follows no redirects")
        target = target.join(location)
    raise _FetchError(f"more than {MAX_REDIRECTS} redirects")


async def _response(target: httpx.URL, fetcher: _Fetcher) -> httpx.Response:
    """The answer of the first address that takes the connection; its body is still to be read."""
    addresses = await _checked_addresses(target, fetcher)
    failure: Exception = _FetchError("its host can't be found")
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
        extensions={"sni_hostname": _host(target), "timeout": timeout.as_dict()},
    )


async def _read(response: httpx.Response, fetcher: _Fetcher) -> _Answer:
    if not response.is_success:
        raise _FetchError(f"HTTP {response.status_code}")
    most = fetcher.rules.max_bytes
    decode = _decoder(response.headers.get("content-encoding", ""))
    data = bytearray()
    async for chunk in response.aiter_raw():
        decoded = decode(chunk, most + 1 - len(data))
        fetcher.left -= len(decoded)
        data += decoded
        if len(data) > most:
            raise _FetchError(f"it is larger than {most / MiB:g} MiB")
        if fetcher.left < 0:
            most = fetcher.rules.max_total_bytes
            raise _FetchError(f"all URLs together give more than {most / MiB:g} MiB")
    return _Answer(bytes(data), response.headers.get("content-type", ""))


def _decoder(encoding: str) -> Callable[[bytes, int], bytes]:
    """Decodes chunk after chunk, each to at most so many bytes: httpx itself decodes without a bound."""
    if encoding.lower() in ("", "identity"):
        return lambda chunk, _most: chunk
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise _FetchError("its content encoding is not supported")
    return zlib.decompressobj(wbits=47).decompress  # gzip and zlib, told apart by their heads


# The guard.

_ELSEWHERE: Final = tuple(map(ipaddress.ip_network, ("168.63.129.16", "192.0.0.0/24", "192.88.99.0/24")))
"""Networks that Python calls global and that are not: clouds' own services, and relays."""
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, the IPv4 address inside an IPv6 one included."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not any(address in net for net in _ELSEWHERE)


def _host(target: httpx.URL) -> str:
    return target.raw_host.decode("ascii").rstrip(".").lower()


async def _checked_addresses(target: httpx.URL, fetcher: _Fetcher) -> list[Address]:
    """The addresses of a URL's host, once the rules have been asked about the URL and all of them."""
    _check_words(target, fetcher.rules)
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        found = [ipaddress.ip_address(name) for name in await fetcher.resolve(_host(target), port)]
    except (OSError, ValueError):  # ValueError: no name for a host, such as an overlong one
        raise _FetchError("its host can't be found") from None
    if not fetcher.rules.allow_private and not all(map(is_public, found)):
        raise _FetchError("its address is not a public one")
    return found


def _check_words(target: httpx.URL, rules: FetchRules) -> None:
    if target.scheme not in ("http", "https") or not target.host:
        raise _FetchError("it is not an http or https URL")
    if not 0 < (target.port or 80) < 65536:
        raise _FetchError("it is not a valid URL")
    if target.userinfo:
        raise _FetchError("it must not carry credentials")
    names = {_host(target), target.host.lower()}  # as it travels and, were it not ASCII, as it is read
    if rules.allowed_domains is not None and names.isdisjoint(map(str.lower, rules.allowed_domains)):
        raise _FetchError("its domain is not among those this server fetches from")
