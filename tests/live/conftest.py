"""Marks every test in this directory as `live`, and starts the second scripted server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.testing.server import Server, start_server

HERE = Path(__file__).parent
KEY = "a-secret-key"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("live")
            if "smollm2_server" in getattr(item, "fixturenames", ()):
                item.add_marker("smollm2")


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A template that lists no tools and refuses whatever does not alternate; a small window; an API key.

    It pings after half a second, so that tests need not wait long.
    """
    with start_server(
        tiny.model_directory("strict_alternation"),
        *("--dtype", "float32", "--api-key", KEY, "--scheduling-policy", "priority"),
        window=2048,
        env={"VLLM_MESSAGES_FIRST_PING_SECONDS": "0.5", "VLLM_MESSAGES_PING_SECONDS": "0.5"},
        home=tmp_path_factory.mktemp("strict"),
    ) as running:
        yield running


@pytest.fixture
def strict_http(strict_server: Server) -> Iterator[httpx.Client]:
    """A plain HTTP client of `strict_server` that has the key."""
    with httpx.Client(
        base_url=strict_server.url, headers={"x-api-key": KEY}, trust_env=False, timeout=120
    ) as client:
        yield client
