"""Every request of the table through both official SDKs: the prompt is the same as without an SDK.

The prompt's length is taken from `count_tokens`, which generates nothing.
"""

from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from clients import npm
from clients.program import PROGRAMS, run
from request_table.checks import table
from request_table.row import Json, Row
from request_table.rows import RENDERED
from support.server import Server

PACKAGES = ("@anthropic-ai/sdk@1.14.0", "zod@4.6.7")  # as `test_typescript_sdk` installs them
SENT = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "context_management",
)
"""What the SDKs' `count_tokens` has parameters for."""

ROWS = [row for row in RENDERED if row.refused is None]


def countable(row: Row) -> Json:
    return {name: value for name, value in row.body.items() if name in SENT and value is not None}


@pytest.fixture(scope="module")
def raw(server: Server) -> dict[str, int]:
    """The counts without an SDK, by row."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=120) as http:
        counts = [http.post("/v1/messages/count_tokens", json=countable(row)).json() for row in ROWS]
    return {row.name: counted["input_tokens"] for row, counted in zip(ROWS, counts, strict=True)}


@pytest.fixture(scope="module")
def typescript(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory: Path = tmp_path_factory.mktemp("requests")
    program = npm.program(PROGRAMS / "typescript_requests.mjs", directory, *PACKAGES)
    outcomes = run(["node", program], server, [countable(row) for row in ROWS])
    return {row.name: counted for row, counted in zip(ROWS, outcomes, strict=True)}


@table(ROWS)
def test_a_request_is_read_the_same_through_the_typescript_sdk(
    raw: dict[str, int], typescript: dict[str, Any], row: Row
) -> None:
    assert typescript[row.name] == raw[row.name]


@table(ROWS)
def test_a_request_is_read_the_same_through_the_python_sdk(
    raw: dict[str, int], anthropic_client: anthropic.Anthropic, row: Row
) -> None:
    counted = anthropic_client.beta.messages.count_tokens(**countable(row))
    assert counted.input_tokens == raw[row.name]
