"""Which URLs may be fetched: the rules of the operator, and addresses on the public internet alone.

Clients choose these URLs, so the server must not be led to where the client could not go itself. A URL is
checked by its words first, then by every address that its host resolves to.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import httpx

MiB: Final = 1024 * 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises OSError when there are none."""


FetchFailure = Literal["forbidden", "inaccessible", "busy", "too_large"]


class FetchError(Exception):
    """Why a URL can't be fetched; reveals nothing about the network behind this server.

    Attributes:
        kind: Whether a rule forbids the URL, it can't be read, its server is busy, or it is too large.
    """

    def __init__(self, message: str, kind: FetchFailure = "inaccessible") -> None:
        self.kind: FetchFailure = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched, and how much of it.

    `allowed_domains` are whole host names, None for any. `max_bytes` is for one URL, decoded;
    `max_total_bytes` for all of a request. `timeout` is in seconds, for one URL with all its redirects.
    `permits` is asked about each URL on the way. `private_origins` are pairs of host and port that may be
    fetched although their addresses are private.
    """

    allowed_domains: tuple[str, ...] | None = None
    allow_redirects: bool = True
    allow_private: bool = False
    max_bytes: int = 32 * MiB
    max_total_bytes: int = 128 * MiB
    timeout: float = 10.0
    permits: Callable[[str], bool] | None = None
    private_origins: frozenset[tuple[str, int]] = frozenset()


async def system_addresses(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver gives."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


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


def host_of(target: httpx.URL) -> str:
    """The host as it is sent: ASCII, in small letters, without a final dot."""
    return target.raw_host.decode("ascii").rstrip(".").lower()


async def checked_addresses(target: httpx.URL, rules: FetchRules, resolve: Resolve) -> list[Address]:
    """The addresses of a URL's host, once the rules have been applied to the URL and to all of them.

    Raises:
        FetchError: the rules forbid the URL or one of the addresses, or there is none.
    """
    _check_url(target, rules)
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        found = [ipaddress.ip_address(name) for name in await resolve(host_of(target), port)]
    except (OSError, ValueError):  # ValueError: no name for a host, such as an overlong one
        raise FetchError("its host can't be found") from None
    private = rules.allow_private or (host_of(target), port) in rules.private_origins
    if not private and not all(map(is_public, found)):
        raise FetchError("its address is not a public one", "forbidden")
    return found


def _check_url(target: httpx.URL, rules: FetchRules) -> None:
    if target.scheme not in ("http", "https") or not target.host:
        raise FetchError("it is not an http or https URL", "forbidden")
    if not 0 < (target.port or 80) < 65536:
        raise FetchError("it is not a valid URL")
    if target.userinfo:
        raise FetchError("it must not carry credentials", "forbidden")
    names = {host_of(target), target.host.lower()}  # as it is sent and, were it not ASCII, as it is read
    if rules.allowed_domains is not None and names.isdisjoint(map(str.lower, rules.allowed_domains)):
        raise FetchError("its domain is not among those this server fetches from", "forbidden")
    if rules.permits is not None and not rules.permits(str(target)):
        raise FetchError("it is outside the domains that may be fetched", "forbidden")
