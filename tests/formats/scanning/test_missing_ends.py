"""Calls whose closing tags are missing or mangled, in every format that has such tags."""

import re
from collections.abc import Iterator

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.whole_scan import join
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
    {
        "name": "get_time",
        "input_schema": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]},
    },
]
CALLS = [("Bash", {"description": "list", "command": "ls -l"}), ("get_time", {"city": "Oslo"})]


def closing_tags(format_name: str) -> set[str]:
    """The closing tags of calls and sections that a format's sample has."""
    sections = [section for section in FORMATS[format_name].sections if not section.foreign]
    tags = {tag for section in sections for tag in (section.close, *section.between)}
    tags |= {call.close for section in sections for call in section.calls}
    return {tag for tag in tags if tag and "{" not in tag}


def without_each_tag(format_name: str) -> Iterator[str]:
    """The sample without one of its closing tags, for each place of each tag."""
    text = write_calls(format_name, CALLS)
    for tag in sorted(closing_tags(format_name)):
        for found in re.finditer(re.escape(tag).replace(r"\ ", " ?"), text):
            yield text[: found.start()] + text[found.end() :]


def with_mangled_tags(format_name: str, written: str) -> Iterator[str]:
    """The sample with one of its closing tags written in another way, for each place of each tag."""
    text = write_calls(format_name, CALLS)
    for tag in sorted(closing_tags(format_name)):
        if tag.startswith("</"):
            for found in re.finditer(re.escape(tag), text):
                mangled = written if written.startswith("<") else tag[:-1] + written
                yield text[: found.start()] + mangled + text[found.end() :]


def calls_of(format_name: str, text: str, size: int) -> list[tuple[str, object]]:
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    pieces = [piece for at in range(0, len(text), size) for piece in scanner.feed(text[at : at + size])]
    result = join([*pieces, *scanner.finish()])
    assert result.text.strip() == "", text
    return list(result.complete_calls)


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("format_name", SAMPLE_WRITERS)
def test_a_missing_closing_tag_changes_no_call(format_name: str, size: int) -> None:
    for text in without_each_tag(format_name):
        assert calls_of(format_name, text, size) == CALLS, text


@pytest.mark.parametrize("written", ["/>", "1>", "</a>", "", " >"])
@pytest.mark.parametrize("format_name", SAMPLE_WRITERS)
def test_a_mangled_closing_tag_changes_no_call(format_name: str, written: str) -> None:
    for text in with_mangled_tags(format_name, written):
        assert calls_of(format_name, text, 1) == calls_of(format_name, text, 10_000) == CALLS, text


def test_the_next_call_is_never_part_of_a_value() -> None:
    text = (
        "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls -l</arg_value>\n"
        "<tool_call>get_time\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>"
    )
    assert calls_of("glm_xml", text, 1) == [("Bash", {"command": "ls -l"}), ("get_time", {"city": "Oslo"})]


def read_call(path: str) -> str:
    return write_calls("compact_xml", [("Read", {"file_path": path})])


READ_TOOL = {
    "name": "Read",
    "input_schema": {"type": "object", "properties": {"file_path": TEXT}, "required": ["file_path"]},
}


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("path", ["</parameter>", "a</parameter>", "</parameter></parameter>"])
def test_a_value_may_be_its_own_closing_tag(path: str, size: int) -> None:
    scanner = Scanner(FORMATS["compact_xml"], tools=[READ_TOOL])
    text = read_call(path)
    pieces = [piece for at in range(0, len(text), size) for piece in scanner.feed(text[at : at + size])]
    assert join([*pieces, *scanner.finish()]).complete_calls == [("Read", {"file_path": path})]


def test_a_tag_that_a_limit_cut_is_not_taken_for_a_mangled_one() -> None:
    text = read_call("a</parameter></function></tool_call>")
    for end in range(len(text)):
        scanner = Scanner(FORMATS["compact_xml"], tools=[READ_TOOL])
        calls = join([*scanner.feed(text[:end]), *scanner.finish(cut=True)]).complete_calls
        assert calls in ([], [("Read", {"file_path": "a"})]), text[:end]


@pytest.mark.parametrize("size", [1, 10_000])
def test_text_in_quotes_behind_a_mention_is_kept(size: int) -> None:
    text = 'So <function=Read>" The end.'
    scanner = Scanner(FORMATS["glm_xml"], tools=[READ_TOOL])
    pieces = [piece for at in range(0, len(text), size) for piece in scanner.feed(text[at : at + size])]
    assert join([*pieces, *scanner.finish()]).text == text
