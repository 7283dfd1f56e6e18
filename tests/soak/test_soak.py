"""The verdict of a soak run, and the counting of what clients do."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from soak.actions import ViolationError
from soak.load import Counts, act, settled, watch_standstills
from soak.report import BEGIN, END, Outcome, Segment, write

IDLE = {"rss_kib": 600_000, "tasks": 12, "descriptors": 40, "threads": 20}


def outcome(*, after: dict[str, int] | None = None, still_open: int = 0, **counts: Any) -> Outcome:
    segment = Segment(IDLE, IDLE | (after or {}))
    return Outcome(30, 64, Counts(**counts), [segment], still_open)


def test_a_run_without_violations_and_leaks_passes() -> None:
    found = outcome(done=Counter(streamed_text=12_345))
    assert found.failures() == []
    assert "| streamed text | 12,345 |" in found.table()
    assert "| asyncio tasks, idle after warm-up -> at the end | 12 -> 12 |" in found.table()


@pytest.mark.parametrize(
    "after",
    [{"tasks": 13}, {"descriptors": 43}, {"rss_kib": 600_000 + 33 * 1024}],
    ids=lambda after: str(after),
)
def test_whatever_grows_beyond_its_limit_is_a_leak(after: dict[str, int]) -> None:
    (failure,) = outcome(after=after).failures()
    assert failure.startswith(next(iter(after)))


def test_violations_and_requests_that_hang_fail_the_run() -> None:
    found = outcome(still_open=1, violations=Counter({"streamed_text: two starts": 3}))
    assert found.failures() == [
        "3 x streamed_text: two starts",
        "1 requests did not end with the server",
    ]


def test_the_server_is_idle_once_five_readings_agree() -> None:
    readings = [IDLE | {"tasks": 15}, *[IDLE] * 5]
    assert settled(readings)
    assert not settled(readings[:-1])


@pytest.mark.parametrize(
    "error",
    [
        ViolationError("two starts"),
        anthropic.APIConnectionError(request=httpx2.Request("GET", "http://x")),
        httpx2.ReadError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_is_a_violation_unless_the_server_is_being_stopped(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(client: Any) -> None:
        raise error

    counts, stopping = Counts(), asyncio.Event()
    await act(None, broken, counts, stopping=stopping)  # type: ignore[arg-type]
    assert sum(counts.violations.values()) == 1
    assert caplog.records[-1].exc_info is not None
    stopping.set()
    await act(None, broken, counts, stopping=stopping)  # type: ignore[arg-type]
    assert sum(counts.violations.values()) == len(caplog.records) == 1
    assert counts.broken == {type(error).__name__: 1}
    assert not counts.done


def test_the_table_replaces_the_old_one_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Soak\n\n{BEGIN}\nold\n{END}\n\nMore.\n", encoding="utf-8")
    write("| new |", page)
    assert page.read_text(encoding="utf-8") == f"# Soak\n\n{BEGIN}\n| new |\n{END}\n\nMore.\n"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="soak:begin"):
        write("| new |", page)


async def test_a_standstill_of_the_clients_process_is_measured() -> None:
    counts = Counts()
    watch = asyncio.create_task(watch_standstills(counts))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - this is the standstill
    await asyncio.sleep(0.3)
    watch.cancel()
    assert counts.standstill > 0.05
    assert "| longest standstill of the clients' process | 0." in Outcome(30, 64, counts, [], 0).table()
