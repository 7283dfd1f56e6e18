"""The loopback MCP servers of this package's tests: one of each for a module."""

from collections.abc import Iterator

import pytest

from support.mcp_server import McpSite, OddSite, mcp_site, odd_site


@pytest.fixture(scope="module")
def _running_site() -> Iterator[McpSite]:
    with mcp_site() as running:
        yield running


@pytest.fixture
def site(_running_site: McpSite) -> McpSite:
    """A server of the official package, as new."""
    _running_site.reset()
    return _running_site


@pytest.fixture
def odd() -> Iterator[OddSite]:
    """A server that answers in odd ways."""
    with odd_site() as running:
        yield running
