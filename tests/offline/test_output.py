"""A model's raw output read in one call."""

import json

import pytest

from formats.samples import SAMPLE_WRITERS, TOOLS, write_calls
from vllm_messages_plugin.formats.scanning.scanner import CallEnd, ThinkingTags
from vllm_messages_plugin.offline import ParsedCall, parse_output

READ = ("Read", {"file_path": "/a b.py", "limit": 5})
OPENED = ThinkingTags("<think>", "</think>", starts_open=True)


@pytest.mark.parametrize("name", sorted(SAMPLE_WRITERS))
@pytest.mark.parametrize("step", [None, 1, 7])
def test_the_calls_of_every_format_are_read(name: str, step: int | None) -> None:
    found = parse_output(write_calls(name, [READ, READ]), name, tools=TOOLS, thinking=None, step=step)
    assert [(call.name, call.input, call.complete) for call in found.calls] == [(*READ, True)] * 2


def test_thinking_text_and_repairs_are_separated() -> None:
    text = 'Hm.</think>Well: <tool_call>{"name": "Read", "arguments": {"file_path": "/a",}}</tool_call>'
    found = parse_output(text, "hermes_json", tools=TOOLS, thinking=OPENED)
    assert (found.thinking, found.text) == ("Hm.", "Well:")
    assert found.calls == (ParsedCall("Read", '{"file_path": "/a"}', complete=True),)
    assert len(found.repairs) == 1
    assert "trailing comma" in found.repairs[0]


def test_a_call_that_was_cut_is_not_complete_and_has_no_input() -> None:
    found = parse_output(
        '<tool_call>{"name": "Read", "arguments": {"file_path": "/a', "hermes_json", tools=TOOLS
    )
    (call,) = found.calls
    assert (call.name, call.complete, call.input) == ("Read", False, None)
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.arguments)


def test_stepwise_pieces_come_as_soon_as_they_are_certain() -> None:
    text = "One two" + write_calls("qwen_xml", [READ])
    found = parse_output(text, "qwen_xml", tools=TOOLS, step=1)
    assert [read for read, _ in found.pieces] == sorted(read for read, _ in found.pieces)
    assert found.pieces[0][0] == 1
    assert found.pieces[-1] == (len(text), CallEnd(0, complete=True)) or found.pieces[-1][0] <= len(text)


def test_steps_change_nothing_but_the_pieces() -> None:
    text = "<think>Hm.</think>So: " + write_calls("glm_xml", [READ])
    whole, stepwise = (parse_output(text, "glm_xml", tools=TOOLS, step=step) for step in (None, 1))
    assert (whole.thinking, whole.text, whole.calls) == (stepwise.thinking, stepwise.text, stepwise.calls)


def test_an_empty_output_has_nothing() -> None:
    found = parse_output("", "any")
    assert (found.thinking, found.text, found.calls, found.pieces) == ("", "", (), ())


def test_an_unknown_format_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        parse_output("", "no such format")
