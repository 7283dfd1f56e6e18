r"""Line ends between tags that a model writes as the two characters \n, in each format that has line ends."""

import re

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.whole_scan import scan

CALLS = [("Read", {"file_path": "/a", "limit": 5}), ("Read", {"file_path": "/b"})]
LINES = sorted(name for name in SAMPLE_WRITERS if "\n" in write_calls(name, CALLS))
# The templates that write each value on lines of its own.
VALUES = ("qwen_xml", "step_xml", "zyphra_xml")


def calls_of(format_name: str, text: str) -> list[tuple[str, object]]:
    found = [scan(format_name, text, size=size) for size in (0, 1, 4)]
    assert found[1:] == [found[0]] * 2
    assert found[0].text.strip() == ""
    return found[0].complete_calls


@pytest.mark.parametrize("format_name", LINES)
def test_a_reply_in_which_all_line_ends_are_escaped_is_read(format_name: str) -> None:
    text = write_calls(format_name, CALLS).replace("\n", "\\n")
    assert calls_of(format_name, text) == CALLS


@pytest.mark.parametrize("format_name", LINES)
def test_a_single_escaped_line_end_between_tags_changes_nothing(format_name: str) -> None:
    text = write_calls(format_name, CALLS)
    for found in re.finditer("\n", text):
        before, after = text[: found.start()], text[found.end() :]
        is_value = format_name in VALUES and (
            re.search(r"<parameter=\w+>\Z", before) or after.startswith("</parameter>")
        )
        if not is_value:
            assert calls_of(format_name, f"{before}\\n{after}") == CALLS, found.start()


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
@pytest.mark.parametrize("content", ["\\n", "\\nfoo\\n", "a\\n", "\\", "\\na", "\\n\\n"])
def test_an_escaped_line_end_that_a_value_has_is_kept(format_name: str, content: str) -> None:
    call = ("Write", {"file_path": "/a", "content": content})
    assert calls_of(format_name, write_calls(format_name, [call])) == [call]


@pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
def test_text_behind_a_call_that_begins_with_an_escaped_line_end_is_kept(format_name: str) -> None:
    text = f"{write_calls(format_name, CALLS[:1])}\\nDone."
    for size in (0, 1):
        found = scan(format_name, text, size=size)
        assert (found.complete_calls, found.text) == (CALLS[:1], "\\nDone.")


def test_a_python_string_goes_on_behind_an_escaped_line_end() -> None:
    text = r"""[Write(file_path='/a', content='print('x')\nprint('y')\n')]"""
    content = "print('x')\nprint('y')\n"
    assert calls_of("python_list", text) == [("Write", {"file_path": "/a", "content": content})]
