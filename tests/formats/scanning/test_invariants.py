"""The invariants of the scanner, each a property that holds in every format."""

import json
import re
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from formats.samples import SAMPLE_WRITERS, TOOLS, dumps, write_calls
from formats.scanning.test_scanner import (
    check_arguments,
    is_ambiguous,
    prose,
    reads,
    some_calls,
    soup,
    strings_in,
)
from formats.whole_scan import THINK, completed, pieces_of, scan, split
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Scanner
from vllm_messages_plugin.formats.scanning.stray_tags import TURN_ENDS

all_formats = pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
few = settings(max_examples=8, deadline=None)
tagged_formats = pytest.mark.parametrize(
    "format_name",
    [format_name for format_name in sorted(SAMPLE_WRITERS) if FORMATS[format_name].sections[0].open],
)
JSON = sorted(
    format_name
    for format_name in SAMPLE_WRITERS
    if '"limit": 5}' in write_calls(format_name, [("Read", {"limit": 5})])
)
TAGS = {tag for each in FORMATS.values() for tag in (*each.markers, *each.noise, *TURN_ENDS)}
MARKUP_OR_SPACE = re.compile("|".join(map(re.escape, sorted(TAGS, key=len, reverse=True))))
DIALECTS = ("hermes_json", "qwen_xml", "glm_xml", "invoke")


def unambiguous(format_name: str, calls: list) -> None:
    assume(not any(is_ambiguous(format_name, value) for value in strings_in(calls)))


def work(format_name: str, text: str) -> int:
    """The cost of a scan without a clock: function calls, and characters buffered from chunk to chunk."""
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    cost = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal cost
        cost += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for chunk in split(text, 16):
            scanner.feed(chunk)
            cost += len(scanner._buffer.text)
        scanner.finish()
    finally:
        sys.setprofile(before)
    return cost


@all_formats
@settings(max_examples=3, deadline=None)
@given(line=st.text(alphabet="ab <>{}[]/\\'\"`|:=,(\n", min_size=1, max_size=40))
def test_time_is_linear_in_the_text(format_name: str, line: str):
    """Four times the text, of any line, takes about four times the work."""

    def write(size: int) -> str:
        return write_calls(
            format_name, [("Write", {"file_path": "/a", "content": line * (size // len(line))})]
        )

    short, long = write(4_096), write(16_384)
    assert work(format_name, long) < 5 * work(format_name, short)


@all_formats
@few
@given(text=soup, size=st.integers(1, 9))
def test_every_split_gives_the_same(format_name: str, text: str, size: int):
    assert scan(format_name, text, size=size) == scan(format_name, text)


@all_formats
@few
@given(calls=some_calls, before=prose)
def test_streamed_and_collected_replies_are_the_same(format_name: str, calls: list, before: str):
    text = f"{before}\n{write_calls(format_name, calls)}"
    assert scan(format_name, text, size=1) == scan(format_name, text)


@all_formats
@few
@given(text=soup)
def test_every_fragment_of_arguments_is_a_prefix_of_valid_json(format_name: str, text: str):
    emitted: dict[int, str] = {}
    for piece in pieces_of(Scanner(FORMATS[format_name], tools=TOOLS), text):
        if isinstance(piece, CallPiece):
            emitted[piece.index] = emitted.get(piece.index, "") + piece.arguments
            if emitted[piece.index]:
                assert isinstance(completed(emitted[piece.index]), dict)


# Kimi writes noise between its tags.
NOISY = {"kimi_section"}


def without_markup(text: str) -> str:
    return "".join(MARKUP_OR_SPACE.sub("", text).split())


@pytest.mark.parametrize("format_name", sorted(set(SAMPLE_WRITERS) - NOISY))
@few
@given(text=soup)
def test_text_is_never_lost(format_name: str, text: str):
    """Tags alone may be dropped. Where no call was read, everything between them is text."""
    text = f"{text} The end."
    result = scan(format_name, text)
    assert result.calls or without_markup(result.text) == without_markup(text)


@all_formats
@few
@given(data=st.data(), calls=some_calls)
def test_a_cut_call_is_visibly_cut(format_name: str, data: st.DataObject, calls: list):
    unambiguous(format_name, calls)
    text = write_calls(format_name, calls)
    result = scan(format_name, text[: data.draw(st.integers(0, len(text)))], cut=True)
    check_arguments(result)
    assert (
        result.complete_calls
        == [(name, dict(arguments)) for name, arguments in calls][: len(result.complete_calls)]
    )


@pytest.mark.parametrize("format_name", JSON)
@few
@given(call=reads, repair=st.sampled_from([(",}", "}"), (', "limit": None}', ', "limit": null}')]))
def test_repairs_are_narrow_and_reported(format_name: str, call: tuple, repair: tuple):
    untidy, tidy = repair
    name, arguments = call
    written = dumps({"file_path": arguments["file_path"]})
    text = write_calls(format_name, [(name, {"file_path": arguments["file_path"]})])
    assume(text.count(written) == 1)
    repairs: list[str] = []
    result = scan(format_name, text.replace(written, written[:-1] + untidy), on_repair=repairs.append)
    assert result.complete_calls == [(name, json.loads(written[:-1] + tidy))]
    assert len(repairs) == 1


@all_formats
@few
@given(number=st.integers(0, 10**9), flag=st.booleans())
def test_values_take_the_schemas_types(format_name: str, number: int, flag: bool):
    untidy = [
        ("Read", {"limit": str(number)}),
        ("Edit", {"replace_all": str(flag).lower(), "lines": dumps([number])}),
    ]
    for size in (0, 1):
        assert scan(format_name, write_calls(format_name, untidy), size=size).complete_calls == [
            ("Read", {"limit": number}),
            ("Edit", {"replace_all": flag, "lines": [number]}),
        ]


@all_formats
@few
@given(data=st.data(), before=prose, after=prose)
def test_closing_tags_inside_values_are_kept(format_name: str, data: st.DataObject, before: str, after: str):
    tag = data.draw(st.sampled_from(sorted(FORMATS[format_name].markers) or ["</x>"]))
    call = ("Write", {"content": f"{before}{tag}{after}", "file_path": "/a"})
    unambiguous(format_name, [call])
    assert scan(format_name, write_calls(format_name, [call])).complete_calls == [call]


@all_formats
@few
@given(number=st.integers(0, 999), dialect=st.sampled_from(DIALECTS))
def test_another_syntax_is_understood(format_name: str, number: int, dialect: str):
    call = ("Read", {"file_path": "/a", "limit": number})
    result = scan(format_name, f"So:\n{write_calls(dialect, [call])}")
    if (format_name, dialect) not in {("compact_xml", "qwen_xml")}:  # there line ends are the value's
        assert result.complete_calls == [call]


@tagged_formats
@few
@given(name=st.from_regex(r"[a-z]{3,12}(_[a-z]{1,8})?", fullmatch=True))
def test_an_unknown_tool_is_passed_on(format_name: str, name: str):
    assume(name not in ("functions", "function", "call"))
    call = (name, {"file_path": "/a"})
    assert scan(format_name, write_calls(format_name, [call])).complete_calls == [call]


@all_formats
@few
@given(content=st.text(alphabet="a\n\r\t ", max_size=12))
def test_line_ends_of_a_value_are_kept(format_name: str, content: str):
    call = ("Write", {"file_path": "/a", "content": content})
    assert scan(format_name, write_calls(format_name, [call]), thinking=THINK).complete_calls == [call]
