"""What stands behind a call or an answer: words of the reply are kept, tags that mean nothing are dropped."""

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.untidy import ONE, TOOLS
from formats.whole_scan import THINK, THINKING, scan

all_formats = pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
BARE = ("json_array", "llama_json", "python_list")  # calls of unknown tools are not read there
WORDS = ["Done", "name", "Bash", "I call Bash next.", "Estimating...", "# Title", "- a\n- b", "call", "ok"]


@all_formats
@pytest.mark.parametrize("words", WORDS)
def test_the_last_words_behind_a_call_are_text(format_name: str, words: str) -> None:
    written = f"{write_calls(format_name, ONE)}\n{words}"
    for tools in (TOOLS, []) if format_name not in BARE else (TOOLS,):
        for size in (0, 1):
            found = scan(format_name, written, tools=tools, size=size)
            assert (found.complete_calls, found.text.strip()) == (ONE, words)


@all_formats
@pytest.mark.parametrize(
    ("behind", "text"),
    [
        ("Done.</think>", "Done."),
        ("Done.\n</think>\n", "Done."),
        ("Done.\n<think></think>", "Done."),
        ("Done.\n<think>\n\n</think>\n", "Done."),
        ("It ends with `</think>`", "It ends with `</think>`"),
        ("Between <think> and </think> it thinks.", "Between <think> and </think> it thinks."),
        ("It is <think> and </think>", "It is <think> and </think>"),
    ],
)
def test_tags_of_thinking_behind_the_answer_are_dropped_unless_mentioned(
    format_name: str, behind: str, text: str
) -> None:
    for begin, thinking in (("<think>Hm.</think>", THINK), ("Hm.</think>\n\n", THINKING)):
        for size in (0, 1):
            found = scan(format_name, begin + behind, thinking=thinking, size=size)
            assert (found.text.strip(), found.thinking.strip()) == (text, "Hm.")


@pytest.mark.parametrize("size", [0, 1])
def test_what_a_section_without_a_call_holds_is_text(size: int) -> None:
    text = "<|tool_calls_section_begin|>I need no tool.<|tool_calls_section_end|>"
    assert scan("kimi_section", text, tools=TOOLS, size=size).text == text


@pytest.mark.parametrize("size", [0, 1])
def test_a_call_of_gemma_without_tags_begins_a_line(size: int) -> None:
    call = 'call:get_time{city:<|"|>Oslo<|"|>}'
    assert scan("gemma_call", f"Look:\n{call}", tools=TOOLS, size=size).complete_calls == ONE
    assert scan("gemma_call", f"I would {call}", tools=TOOLS, size=size).text == f"I would {call}"
