"""The bench of the front end alone, as little of it as shows that it runs."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import page
from bench.frontend import latency, measure, memory, pace, table
from bench.tables import as_text
from bench.verdicts import Verdict


def token_cost(
    plugin: float, *, scenario: str = "thinking", streams: int = 64, streamed: bool = True
) -> measure.TokenCost:
    micros = dict(zip(measure.ROWS, (6.0, 20.0, 40.0, 60.0, plugin), strict=True))
    return measure.TokenCost(scenario, streamed, streams, micros)


def request_cost(ratio: float, name: str = "next turn") -> measure.RequestCost:
    return measure.RequestCost(name, 12_500, 10.0, 10.0 * ratio, ratio, ratio)


def missed(found: list[Verdict]) -> list[str]:
    return [miss for verdict in found for miss in verdict.misses]


def test_the_limit_of_a_token_can_be_missed() -> None:
    assert missed(table.token_verdicts([token_cost(22.0)])) == []
    assert missed(table.token_verdicts([token_cost(24.0)])) == ["thinking, 64 streams (1.20)"]
    assert set(table.LOW) <= {scenario.name for scenario in measure.SCENARIOS}
    assert missed(table.token_verdicts([token_cost(18.0, scenario="text")])) == []
    assert missed(table.token_verdicts([token_cost(20.0, scenario="text")])) == ["text, 64 streams (1.00)"]
    assert (
        missed(table.token_verdicts([token_cost(24.0, streams=16), token_cost(24.0, streamed=False)])) == []
    )


def test_the_limits_of_a_request_can_be_missed() -> None:
    assert missed(table.request_verdicts([request_cost(0.17), request_cost(1.0, "first turn")])) == []
    assert missed(table.request_verdicts([request_cost(0.2)])) == ["12,500 tokens (0.20)"]


def test_the_plot_has_a_bar_for_each_row_at_the_most_streams() -> None:
    picture = ElementTree.fromstring(table.plot([token_cost(22.0), token_cost(30.0, streams=256)]))
    bars = [found for found in picture.iter("{http://www.w3.org/2000/svg}rect") if found.get("width") != "10"]
    assert len(bars) == len(measure.ROWS)


def test_a_run_of_one_part_keeps_the_other_sections_of_the_page() -> None:
    costs = table.token_table([token_cost(22.0)])
    first = page.updated("", [page.Part("parsers", costs, "Old notes.", [])])
    both = page.updated(first, [page.Part("frontend", costs, "New notes.", [])])
    assert both.index("Old notes.") < both.index("New notes.")
    assert page.updated(both, [page.Part("frontend", costs, "New notes.", [])]) == both


@pytest.mark.live
def test_the_smallest_run_measures_every_row(tmp_path: Path) -> None:
    tokens = measure.measure_tokens(measure.QUICK, tmp_path, lambda _: None)
    assert [row.scenario for row in tokens] == [scenario.name for scenario in measure.SCENARIOS]
    for row in tokens:  # no sign is asked for: so few tokens cost less than the noise
        assert set(row.micros) == set(measure.ROWS)
    assert "plugin / least" in as_text(table.token_table(tokens))


@pytest.mark.live
def test_the_smallest_run_measures_every_request(tmp_path: Path) -> None:
    requests = measure.measure_requests(measure.QUICK, tmp_path, lambda _: None)
    assert {row.name for row in requests} == {"short question", "first turn", "next turn"}
    assert all(row.tokens > 10_000 for row in requests if row.name != measure.SHORT)
    assert "whole request" in as_text(table.request_table(requests))


def test_a_late_event_and_a_stall_are_misses() -> None:
    rows = [
        latency.Wait(f"{latency.FIRST_EVENT}: slowest", 12.0, 20.0),
        latency.Wait(latency.STALL, 9.0, 50.0),
    ]
    first, stall = latency.verdicts(rows)
    assert (list(first.misses), list(stall.misses)) == ([f"{latency.FIRST_EVENT}: slowest (12)"], [])


@pytest.mark.live
def test_the_smallest_run_measures_every_wait(tmp_path: Path) -> None:
    rows = latency.measure(latency.QUICK, tmp_path, lambda _: None)
    assert all(row.plugin > 0 for row in rows)
    assert rows[-1].name.endswith("tokens")
    assert "vLLM Messages" in as_text(latency.table(rows))


def test_a_leak_is_a_miss() -> None:
    rows = [memory.Growth(memory.REQUEST, 10_000, plugin, 0.0) for plugin in (900.0, 5_000.0)]
    assert missed(memory.verdicts(rows[:1])) == []
    assert missed(memory.verdicts(rows[1:])) == ["5000 bytes each"]
    assert "plugin KB" in as_text(memory.table(rows))


def test_a_server_that_falls_behind_is_a_miss() -> None:
    kept, slow = pace.Kept(0.6, 5.0, 12.0, 1.0), pace.Kept(1.0, 2_000.0, 40.0, 1.0)
    fastest = pace.Pace(256, 100)
    assert (
        missed(pace.verdicts([pace.Row(pace.Pace(64, 100), slow, slow), pace.Row(fastest, kept, slow)])) == []
    )
    misses = missed(pace.verdicts([pace.Row(fastest, slow, kept)]))
    assert misses == ["CPU 100%", "2000 ms behind", "gap 40 ms"]


@pytest.mark.live
def test_the_smallest_run_measures_a_pace(tmp_path: Path) -> None:
    (row,) = pace.measure(pace.QUICK, tmp_path, lambda _: None)
    for kept in (row.plugin, row.native):
        assert 0 < kept.cpu < 2
        assert 0 < kept.pieces < 2  # the beginning and the end are pieces as well
        assert kept.behind > 0
        assert kept.gap > 1000 / row.pace.rate / 2
    assert "vLLM Messages" in as_text(pace.table([row]))
