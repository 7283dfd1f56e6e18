"""Listings are asked once per server and token and kept for a minute."""

import asyncio
from collections.abc import Sequence

import pytest

from vllm_messages_plugin.media.guard import FetchRules, system_addresses
from vllm_messages_plugin.server_tools.mcp.listings import KEPT_SECONDS, MAX_LISTINGS, Listings
from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError, McpServer
from vllm_messages_plugin.wire.mcp import MCPToolParam

TOOL = MCPToolParam(name="a", input_schema={"type": "object"})


class Asked(McpServer):
    """A server that counts how often it is asked, by its URL."""

    counts: dict[str, int] = {}  # noqa: RUF012
    failing: set[str] = set()  # noqa: RUF012

    async def list_tools(self) -> tuple[MCPToolParam, ...]:
        self.counts[self.url] = self.counts.get(self.url, 0) + 1
        await asyncio.sleep(0)
        if self.url in self.failing:
            raise McpFailedError("down")
        return (TOOL,)


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Asked.counts.clear()
    Asked.failing.clear()


def server(url: str = "u", token: str = "") -> Asked:
    return Asked(url, token, FetchRules(), system_addresses)


async def all_of(listings: Listings, servers: Sequence[McpServer]) -> None:
    await asyncio.gather(*map(listings.tools_of, servers))


async def test_a_listing_is_asked_once_and_again_after_a_minute() -> None:
    clock = Clock()
    listings = Listings(clock)
    await all_of(listings, [server()] * 3)
    clock.now += KEPT_SECONDS - 1
    assert await listings.tools_of(server()) == (TOOL,)
    assert Asked.counts == {"u": 1}
    clock.now += 1
    await listings.tools_of(server())
    assert Asked.counts == {"u": 2}


async def test_another_token_gets_a_listing_of_its_own() -> None:
    listings = Listings(Clock())
    await all_of(listings, [server(token="a"), server(token="b"), server(token="a")])
    assert Asked.counts == {"u": 2}


async def test_a_failure_is_not_kept() -> None:
    listings = Listings(Clock())
    Asked.failing.add("u")
    with pytest.raises(McpFailedError):
        await listings.tools_of(server())
    Asked.failing.clear()
    assert await listings.tools_of(server()) == (TOOL,)


async def test_a_request_that_is_cancelled_leaves_the_listing_to_the_others() -> None:
    listings = Listings(Clock())
    first, second = (asyncio.create_task(listings.tools_of(server())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == (TOOL,)
    assert Asked.counts == {"u": 1}


async def test_only_so_many_listings_are_kept() -> None:
    listings = Listings(Clock())
    await all_of(listings, [server(str(number)) for number in range(MAX_LISTINGS + 1)])
    await listings.tools_of(server("0"))
    await listings.tools_of(server(str(MAX_LISTINGS)))
    assert (Asked.counts["0"], Asked.counts[str(MAX_LISTINGS)]) == (2, 1)
