"""Settings of every run, and fixtures that several packages share: live servers, started on first use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anthropic
import httpx
import pytest

from support.page_site import PageSite, page_site
from support.profiles import fix_order, register_profiles
from support.search_services import SearchServices, search_services
from support.server import Server, start_server
from vllm_messages_plugin.demo import smollm2
from vllm_messages_plugin.testing import tiny

if TYPE_CHECKING:
    from support.mcp_server import McpSite, OddSite

LOG_TAIL_LINES = 40
STRICT_KEY = "a-secret-key"


register_profiles()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run: a fixed order in CI, no proxy for loopback, and a SIGTERM that unwinds fixtures.

    SIGTERM (a `timeout`, a cancelled job) then ends the run like Ctrl-C, so that servers are stopped.
    """
    fix_order(config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Add the path and the last lines of each server's log to the report of a failing test."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server):
                tail = "\n".join(value.log_text().splitlines()[-LOG_TAIL_LINES:])
                report.sections.append((f"log of {name}: {value.log_path}", tail))
    return report


@pytest.fixture(scope="session")
def services() -> Iterator[SearchServices]:
    """The search services on loopback that `server` and `strict_server` search with."""
    with search_services() as running:
        yield running


@pytest.fixture(scope="session")
def pages() -> Iterator[PageSite]:
    """The web site on loopback that `server` may fetch from."""
    with page_site() as running:
        yield running


@pytest.fixture(scope="session")
def station() -> Iterator["McpSite"]:
    """The MCP server on loopback that `server` connects."""
    from support.mcp_server import mcp_site  # imports the MCP package, which takes a second or two

    with mcp_site() as running:
        yield running


@pytest.fixture
def site(station: "McpSite") -> "McpSite":
    """The same MCP server, as new."""
    station.reset()
    return station


@pytest.fixture
def odd() -> Iterator["OddSite"]:
    """An MCP server that answers in odd ways."""
    from support.mcp_server import odd_site

    with odd_site() as running:
        yield running


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, services: SearchServices, pages: PageSite, station: "McpSite"
) -> Iterator[Server]:
    """The tiny scripted model, served as `tiny` and `tiny-alias` with a window of 131072 tokens.

    In float32, so that its output without a script does not depend on how requests are batched.
    """
    home = tmp_path_factory.mktemp("server")
    env = {
        "VLLM_MESSAGES_SEARCH": f"searxng:{services.url}",
        "VLLM_MESSAGES_FETCH": "on",
        "VLLM_MESSAGES_FETCH_DOMAINS": pages.host,
        "VLLM_MESSAGES_MCP": "listed",
        "VLLM_MESSAGES_MCP_URLS": station.url,
    }
    with start_server(tiny.model_directory(), "--dtype", "float32", env=env, home=home) as running:
        yield running


@pytest.fixture(scope="session")
def smollm2_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real SmolLM2-135M-Instruct, served as `smollm2` with its window of 8192 tokens.

    In float32, as `make demo` serves it.
    """
    home: Path = tmp_path_factory.mktemp("smollm2")
    flags = ("--dtype", "float32")
    model = smollm2.model_directory()
    with start_server(model, *flags, names=["smollm2"], window=8192, scripted=False, home=home) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A plain HTTP client for `server`."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=120) as client:
        yield client


@pytest.fixture
def anthropic_client(server: Server) -> Iterator[anthropic.Anthropic]:
    """The official SDK as a client of `server`, without retries and proxies."""
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        base_url=server.url, api_key="x", max_retries=0, timeout=120, http_client=transport
    ) as client:
        yield client


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory, services: SearchServices) -> Iterator[Server]:
    """A server with an API key, a small window, and a template without tools that wants turns to alternate.

    It sends the first ping after half a second, so that tests need not wait long.
    """
    with start_server(
        tiny.model_directory("strict_alternation"),
        *("--dtype", "float32", "--api-key", STRICT_KEY, "--scheduling-policy", "priority"),
        window=2048,
        env={
            "VLLM_MESSAGES_FIRST_PING_SECONDS": "0.5",
            "VLLM_MESSAGES_PING_SECONDS": "0.5",
            "VLLM_MESSAGES_SEARCH": f"searxng:{services.url}",
        },
        home=tmp_path_factory.mktemp("strict"),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def strict_key() -> str:
    """The API key of `strict_server`."""
    return STRICT_KEY


@pytest.fixture
def strict_http(strict_server: Server, strict_key: str) -> Iterator[httpx.Client]:
    """A plain HTTP client for `strict_server` that sends the key."""
    with httpx.Client(
        base_url=strict_server.url, headers={"x-api-key": strict_key}, trust_env=False, timeout=120
    ) as client:
        yield client
