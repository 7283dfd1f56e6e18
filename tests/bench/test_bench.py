"""The bench itself, at sizes that take seconds. What it measures is not asserted here, only that it does."""

import json
from collections.abc import Sequence

import pytest

from bench import __main__ as bench
from bench import page, prompts, server_table, servers, store, verdicts
from bench.growth import extrapolated, growths
from bench.parser_table import table
from bench.parser_timings import Row, Timing, measure
from bench.tables import Table, as_markdown, as_text
from formats.samples import SAMPLE_WRITERS
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner
from vllm_messages_plugin.testing.script import parse_playbook

ANY = "any"
"""Reads what the other formats write, and has no writing of its own."""
TINY = (1, 2)


def row(kilobytes: int, plugin: float, vllm: Timing | None = None, *, right: bool = True) -> Row:
    return Row("a_format", "a_parser", kilobytes, Timing(plugin, right=right), vllm)


def comparison(*ratios: float, name: str = "a cost") -> servers.Comparison:
    return servers.Comparison(name, "ms", 0.001, 0.002, ratios)


def missed(found: Sequence[verdicts.Verdict]) -> list[str]:
    return [miss for verdict in found for miss in verdict.misses]


def test_every_format_has_a_row_in_the_bench() -> None:
    assert set(bench.arguments([]).formats) == set(FORMATS) - {ANY}


@pytest.mark.parametrize("call_format", sorted(SAMPLE_WRITERS))
def test_one_line_of_each_format_is_measured(call_format: str) -> None:
    rows = measure(call_format, TINY, cap=0.2)
    assert [line.kilobytes for line in rows] == list(TINY)
    assert all(line.plugin.right and line.plugin.seconds > 0 for line in rows)
    assert all(line.vllm is None or line.vllm.seconds > 0 for line in rows)
    (line,) = table(rows).rows
    assert line[0] == call_format


def test_vllm_is_timed_wherever_it_reads_the_format() -> None:
    (hermes,) = measure("hermes_json", [1], cap=20)
    assert hermes.vllm is not None
    assert (hermes.parser, hermes.vllm.state, hermes.vllm.right) == ("hermes", "whole", True)


def test_a_reader_is_cut_off_at_the_cap_and_not_tried_on_more() -> None:
    rows = measure("qwen_xml", [4, 8], cap=0.05)
    assert [line.vllm.state for line in rows if line.vllm] == ["cut", "cut"]
    first, second = (line.vllm.seconds for line in rows if line.vllm)
    assert second == 2 * first


@pytest.mark.parametrize("call_format", sorted(SAMPLE_WRITERS))
def test_the_scanner_keeps_no_more_of_a_long_argument_than_of_a_short_one(call_format: str) -> None:
    """Linear without a clock: what is held back at any time does not grow with the argument."""
    assert most_held(call_format, 16) <= most_held(call_format, 4)


def most_held(call_format: str, kilobytes: int) -> int:
    content = "x < y\n" * (kilobytes * 1024 // len("x < y\n"))
    text = SAMPLE_WRITERS[call_format]([("Write", {"file_path": "/a.py", "content": content})])
    tools = [{"type": "function", "function": {"name": "Write", "parameters": {"type": "object"}}}]
    scanner = Scanner(FORMATS[call_format], tools=tools)
    most = 0
    for at in range(0, len(text), 4):
        scanner.feed(text[at : at + 4])
        buffer = scanner._buffer
        most = max(most, len(buffer.text) - buffer.at + len(buffer.marked()))
    return most


def test_growth_is_given_for_each_doubling() -> None:
    assert growths([4, 16, 32], [1.0, 4.0, None]) == [None, 2.0, None]
    assert extrapolated([4, 16], [1.0, 16.0], 64) == pytest.approx(256.0)
    assert extrapolated([4], [1.0], 16) is None


def test_each_requirement_on_the_readers_can_be_missed() -> None:
    assert missed(verdicts.of_parsers([row(128, 0.2), row(256, 0.4, Timing(0.5))])) == []
    assert missed(verdicts.of_parsers([row(256, 0.1, right=False)])) == ["a_format 256 KB"]
    assert missed(verdicts.of_parsers([row(256, 1.1)])) == ["a_format (1.10 s)"]
    assert missed(verdicts.of_parsers([row(128, 0.1), row(256, 0.24)])) == ["a_format (2.40)"]
    assert missed(verdicts.of_parsers([row(256, 0.4, Timing(0.3))])) == ["a_format 256 KB (0.75)"]


def test_a_time_that_was_not_measured_is_no_proof() -> None:
    assert row(256, 0.4, Timing(0.3, "extrapolated")).ratio is None
    assert row(256, 0.4, Timing(0.3, "cut")).ratio is None
    assert row(256, 0.4, Timing(0.8, "cut")).ratio == pytest.approx(2.0)


def test_the_servers_requirement_can_be_missed() -> None:
    assert missed(verdicts.of_servers([comparison(0.5, 0.9, 1.2)])) == []
    assert missed(verdicts.of_servers([comparison(0.5, 1.05, 1.2)])) == []
    assert missed(verdicts.of_servers([comparison(0.5, 1.15, 1.2)])) == ["a cost (1.15)"]
    token = comparison(0.5, 1.05, 1.2, name=f"{servers.STREAMED}: text")
    assert missed(verdicts.of_servers([token])) == ["streamed token: text (1.05)"]


def test_a_table_is_written_for_terminals_and_for_pages() -> None:
    made = Table(["name", "ms"], [["a", "1.0"], ["long", "10.0"]])
    assert as_text(made) == "name    ms\na      1.0\nlong  10.0"
    assert as_markdown(made) == "| name | ms |\n| --- | ---: |\n| a | 1.0 |\n| long | 10.0 |"


def test_the_page_has_each_part_with_its_verdicts() -> None:
    rows = [comparison(0.5)]
    part = page.Part("server", server_table.table(rows), server_table.NOTES, verdicts.of_servers(rows))
    text = page.markdown([part])
    assert text.startswith("# Performance\n")
    assert "| a cost | ms | 1 | 2 | 0.50 | 0.50 | 0.50 |" in text
    assert "- holds" in text


def test_an_agents_first_turn_has_its_size_and_no_twin() -> None:
    first, second = prompts.agentic(1), prompts.agentic(2)
    assert first != second
    assert first == prompts.agentic(1)
    assert 45_000 < len(str(first)) < 60_000
    assert len(first["tools"]) == prompts.TOOL_COUNT


def test_the_scripts_of_the_streams_are_a_playbook() -> None:
    assert len(parse_playbook(json.dumps(servers.playbook()))) == 3


def test_the_store_table_has_a_line_for_each_cost_and_judges_the_idle_store() -> None:
    rows = [store.Cost(store.ITEM, 13.25, 0.0151), store.Cost(store.IDLE, None, 0.0021)]
    rows.append(store.Cost(store.IDLE_WITHOUT, None, 0.0002))
    lines = [list(line) for line in store.table(rows).rows]
    assert lines[:2] == [[store.ITEM, "13.2", "15.1"], [store.IDLE, "", "2.1"]]
    assert missed(store.verdicts(rows)) == [store.IDLE]
    rows[-1] = store.Cost(store.IDLE_WITHOUT, None, 0.0015)
    assert missed(store.verdicts(rows)) == []
