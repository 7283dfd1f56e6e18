"""The repairs of a call, each reported once."""

import json

import pytest

from formats.whole_scan import scan
from vllm_messages_plugin.formats.scanning import repair


def repairs_of(format_name: str, text: str) -> list[str]:
    repairs: list[str] = []
    by_character: list[str] = []
    scan(format_name, text, on_repair=repairs.append)
    scan(format_name, text, size=1, on_repair=by_character.append)
    assert repairs == by_character
    return repairs


@pytest.mark.parametrize(
    ("token", "literal"),
    [("true", "true"), ("True", "true"), ("None", "null"), ("-1.5e3", "-1.5e3"), ("01", None), ("x", None)],
)
def test_literals(token: str, literal: str | None):
    assert repair.to_literal(token) == literal


@pytest.mark.parametrize("text", ['a"b', "a\\b", "é\u2028😀", "\x00\x1f", ""])
def test_quoted_text_is_json(text: str):
    assert json.loads(repair.quote(text)) == text
    assert json.loads(f'"{repair.escaped(text)}"') == text


@pytest.mark.parametrize(
    ("complete", "partial"),
    [(r"\n", "\\"), (r"\u00e9", r"\u00"), (r"\ud83d\ude00", r"\ud83d\u"), (r"\udabc\udfff", r"\udabc\udff")],
)
def test_an_escape_is_complete_or_partial(complete: str, partial: str):
    assert repair.ESCAPE.fullmatch(complete)
    assert not repair.ESCAPE.match(partial)
    assert repair.PARTIAL_ESCAPE.match(partial)


@pytest.mark.parametrize("broken", [r"\d", r"\ud83dx", r"\ude00", r"\u00g", r"\ud83d\n"])
def test_a_broken_escape_is_neither_complete_nor_partial(broken: str):
    assert not repair.ESCAPE.match(broken)
    assert not repair.PARTIAL_ESCAPE.match(broken)


def test_a_call_without_repairs_reports_none():
    assert repairs_of("hermes_json", '<tool_call>\n{"name": "Now", "arguments": {}}\n</tool_call>') == []


def test_each_repair_is_reported_once_for_each_call():
    call = '<tool_call>{"name": "Edit", "arguments": {"lines": [1,], "edits": [],},}</tool_call>'
    assert repairs_of("hermes_json", call * 2) == [
        "call 0 (Edit): a trailing comma was dropped",
        "call 1 (Edit): a trailing comma was dropped",
    ]


@pytest.mark.parametrize(
    ("format_name", "text", "repairs"),
    [
        ("hermes_json", '<tool_call>{"name": "Now"}</tool_call>', repair.NO_ARGUMENTS),
        ("hermes_json", '<tool_call>{"name": "Now", "arguments": null}</tool_call>', repair.NO_ARGUMENTS),
        ("hermes_json", '<tool_call>{"name": "Now", "arguments": ""}</tool_call>', repair.NO_ARGUMENTS),
        (
            "hermes_json",
            r'<tool_call>{"name": "Write", "arguments": {"content": "\d"}}</tool_call>',
            repair.BAD_ESCAPE,
        ),
        (
            "kimi_section",
            '<|tool_call_begin|>Read<|tool_call_argument_begin|>{"limit": 5<|tool_call_end|>',
            repair.MISSING_BRACE,
        ),
        (
            "qwen_xml",
            "<function=Read>\n<parameter=limit>\n5\n</parameter>\n"
            "<parameter=limit>\n6\n</parameter>\n</function>",
            repair.DUPLICATE_KEY,
        ),
        ("python_list", "[Write(content='it's')]", repair.INNER_QUOTE),
        ("python_list", "[Write(content=word)]", repair.BARE_WORD),
    ],
)
def test_what_is_reported(format_name: str, text: str, repairs: str):
    assert [line.split(": ", 1)[1] for line in repairs_of(format_name, text)] == [repairs]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "Read", "file_path": "/a"}</tool_call>',
        '<tool_call>{"name": "Read", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "Read", "arguments": "no object"}</tool_call>',
        '<tool_call>{"arguments": {"a": 1}}</tool_call>',
        '<tool_call>{"name": "two words", "arguments": {}}</tool_call>',
        "<tool_call>Read the file</tool_call>",
        "<tool_call></tool_call>",
        "<tool_call>[]</tool_call>",
    ],
)
def test_whatever_is_not_on_the_list_stays_text(text: str):
    for size in (0, 1):
        result = scan("hermes_json", text, size=size)
        assert (result.text, result.calls) == (text, [])


def test_text_that_looked_like_a_call_reports_no_repair():
    text = (
        '<tool_call>{"arguments": {"a": True,}} and <tool_call>{"name": "Now", "arguments": {}}</tool_call>'
    )
    assert repairs_of("hermes_json", text) == []
