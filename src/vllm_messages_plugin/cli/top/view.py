"""Fetches metrics, and draws a snapshot as a table."""

import time
from collections.abc import Callable

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vllm_messages_plugin.cli.doctor.metrics import Metrics
from vllm_messages_plugin.cli.top.snapshot import Snapshot, snapshot

UNKNOWN = "-"


class NoMetricsError(RuntimeError):
    """The server has no page of metrics, or none of this plugin's."""


def fetch(http: httpx.Client) -> Metrics:
    """Fetch a server's metrics.

    Raises:
        NoMetricsError: There is no such page.
    """
    try:
        response = http.get("/metrics")
    except httpx.HTTPError as error:
        raise NoMetricsError(f"no response from {http.base_url}: {error or type(error).__name__}") from None
    if response.status_code != 200 or "vllm" not in response.text:
        raise NoMetricsError(
            f"{http.base_url}metrics is no page of vLLM's metrics (HTTP {response.status_code})"
        )
    return Metrics(response.text)


def take(http: httpx.Client, seconds: float, sleep: Callable[[float], None] = time.sleep) -> Snapshot:
    """Take one snapshot of what a server does within some seconds."""
    before = fetch(http)
    sleep(seconds)
    return snapshot(before, fetch(http), seconds)


def watch(http: httpx.Client, seconds: float) -> None:
    """Draw snapshots until Ctrl-C."""
    before, taken = fetch(http), time.monotonic()
    with Live(draw(snapshot(None, before, 0)), console=Console(), auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(seconds)
            now, moment = fetch(http), time.monotonic()
            live.update(draw(snapshot(before, now, moment - taken)), refresh=True)
            before, taken = now, moment


def draw(found: Snapshot) -> Group:
    """Draw a snapshot."""
    table = Table("key", expand=False)
    for name in ("running", "requests/s", "prompt tokens/s", "output tokens/s", "cached", "refused"):
        table.add_column(name, justify="right")
    for row in found.keys:
        table.add_row(
            row.key, str(row.running), f"{row.requests:.2f}", f"{row.input_tokens:,.0f}",
            f"{row.output_tokens:,.0f}", _share(row.cached), str(row.refused),
        )  # fmt: skip
    return Group(Text(_headline(found)), table)


def _headline(found: Snapshot) -> str:
    return (
        f"running {_number(found.running)}, waiting {_number(found.waiting)}, "
        f"KV cache {_share(found.kv_cache)}, "
        f"prompts from the cache {_share(found.cached)}, {found.output_tokens:,.0f} output tokens/s"
    )


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0%}"
