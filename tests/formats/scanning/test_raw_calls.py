"""Markup of a call that can't be read stays in the text, and is counted once."""

import pytest

from formats.samples import SAMPLE_WRITERS, TOOLS, write_calls
from formats.whole_scan import THINK, pieces_of, split
from support.calls import SeenCalls
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner

NOW = [("Now", {})]
GARBAGE = "<tool_call>garbage</tool_call>"


def raw_calls(format_name: str, text: str, size: int = 0) -> int:
    seen = SeenCalls()
    scanner = Scanner(
        FORMATS[format_name],
        tools=TOOLS,
        thinking=THINK,
        on_repair=seen.add_repair,
        on_raw_call=seen.add_raw_call,
    )
    pieces_of(scanner, split(text, size))
    return seen.raw


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_call_that_is_read_is_not_raw(format_name: str, size: int) -> None:
    assert raw_calls(format_name, "I look. " + write_calls(format_name, NOW), size) == 0


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize(
    ("format_name", "text", "expected"),
    [
        ("hermes_json", GARBAGE, 1),
        ("hermes_json", f"First {GARBAGE}, then {GARBAGE}", 2),
        ("hermes_json", "<tool_call>" + "x" * 5_000 + "</tool_call>", 1),
        ("hermes_json", GARBAGE + write_calls("hermes_json", NOW), 1),
        ("hermes_json", "<think>I may write <tool_call> here</think>Done.", 0),
        ("hermes_json", "Write `<tool_call>` for a call.", 0),
        ("hermes_json", 'A list: [1, 2] and {"a": 1}', 0),
        ("qwen_xml", "<tool_call>\n<function=Now garbage", 1),
        ("qwen_xml", "<tool_call>\n<function=>\n</function>\n</tool_call>", 1),
        ("mistral", "[TOOL_CALLS] none", 1),
        ("llama_json", "[1, 2, 3] is a list", 0),
    ],
)
def test_markup_that_stays_text_is_counted_once(
    format_name: str, text: str, expected: int, size: int
) -> None:
    assert raw_calls(format_name, text, size) == expected
