"""What a reply that ends inside markup leaves over is never text, and never a call that looks complete."""

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.whole_scan import ScanResult, join, pieces_of, split
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner

TEXT = {"type": "string"}
TOOLS = [
    {
        "name": "Bash",
        "input_schema": {
            "type": "object",
            "properties": {"description": TEXT, "command": TEXT},
            "required": ["command"],
        },
    },
    {"name": "get_time", "input_schema": {"type": "object", "properties": {"city": TEXT}}},
]
CALLS = [("Bash", {"description": "l", "command": "ls"}), ("get_time", {"city": "Oslo"})]
STEP = 3
# The format, and the beginning of its markup that is too short to be told from a word.
WORDS = {
    ("command_r_action", "A"),
    ("command_r_action", "Ac"),
    ("phi_functools", "f"),
    ("phi_functools", "fu"),
}


def read(format_name: str, text: str, *, size: int = 0, cut: bool) -> ScanResult:
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    return join(pieces_of(scanner, split(text, size), cut=cut))


@pytest.mark.parametrize("begin", ["", "Look:\n"])
@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
def test_nothing_of_a_call_that_a_limit_cut_is_text(format_name: str, begin: str) -> None:
    written = write_calls(format_name, CALLS)
    for end in range(1, len(written)):
        found = read(format_name, begin + written[:end], cut=True)
        if (format_name, written[:end]) not in WORDS:
            assert found.text.strip() == begin.strip(), written[:end]
        assert found.complete_calls == CALLS[: len(found.complete_calls)]
        if end % STEP == 0:
            assert read(format_name, begin + written[:end], size=1, cut=True) == found


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
def test_nothing_of_a_second_call_that_breaks_off_is_text(format_name: str) -> None:
    """Only the first characters of a tag may be: they may as well be a reply's last words."""
    written = write_calls(format_name, CALLS)
    second = written.index("get_time") + 3
    for end in range(second, len(written)):
        found = read(format_name, written[:end], cut=False)
        assert found.text.strip() == "", written[:end]
        assert found.complete_calls == CALLS[: len(found.complete_calls)]


@pytest.mark.parametrize("format_name", ["json_array", "llama_json", "python_list"])
def test_an_object_that_is_no_call_is_kept_when_a_limit_cuts_it(format_name: str) -> None:
    for text in ('{"city": "Os', '[{"title": "a"}, {"ti', '{"name": "Alice", "age"', "[1, 2", "[x, y"):
        assert read(format_name, text, cut=True).text == text


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
@pytest.mark.parametrize(
    "text", ["a < b, c", "if a <b", "see [1]", "It costs 5", "The end.", "x > y", "call"]
)
def test_the_last_words_of_a_cut_reply_are_text(format_name: str, text: str) -> None:
    assert read(format_name, text, cut=True).text == text
