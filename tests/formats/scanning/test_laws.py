"""The twelve laws of the scanner, each a property held in every shape; the tables beside hold the cases."""

import json
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from formats.samples import SPOKEN, TOOLS, dumps, speak
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

shapes = pytest.mark.parametrize("shape", sorted(SPOKEN))
few = settings(max_examples=8, deadline=None)
marked = pytest.mark.parametrize(
    "shape", [shape for shape in sorted(SPOKEN) if FORMATS[shape].sections[0].open]
)
JSON = sorted(shape for shape in SPOKEN if '"limit": 5}' in speak(shape, [("Read", {"limit": 5})]))
DIALECTS = ("hermes_json", "qwen_xml", "glm_xml", "invoke")


def unambiguous(shape: str, calls: list) -> None:
    assume(not any(is_ambiguous(shape, value) for value in strings_in(calls)))


def work(shape: str, text: str) -> int:
    """What a reply costs, without a clock: the calls made, and the characters held from chunk to chunk."""
    scanner = Scanner(FORMATS[shape], tools=TOOLS)
    cost = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal cost
        cost += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for chunk in split(text, 16):
            scanner.feed(chunk)
            cost += len(scanner._tape.text)
        scanner.finish()
    finally:
        sys.setprofile(before)
    return cost


@shapes
@settings(max_examples=3, deadline=None)
@given(line=st.text(alphabet="ab <>{}[]/\\'\"`|:=,(\n", min_size=1, max_size=40))
def test_law_1_linear(shape: str, line: str):
    """Four times the text, of any line, takes about four times the work."""

    def write(size: int) -> str:
        return speak(shape, [("Write", {"file_path": "/a", "content": line * (size // len(line))})])

    short, long = write(4_096), write(16_384)
    assert work(shape, long) < 5 * work(shape, short)


@shapes
@few
@given(text=soup, size=st.integers(1, 9))
def test_law_2_chunk_blind(shape: str, text: str, size: int):
    assert scan(shape, text, size=size) == scan(shape, text)


@shapes
@few
@given(calls=some_calls, before=prose)
def test_law_3_mode_blind(shape: str, calls: list, before: str):
    """What is handed out piece by piece and what is handed out whole is the same."""
    text = f"{before}\n{speak(shape, calls)}"
    assert scan(shape, text, size=1) == scan(shape, text)


@shapes
@few
@given(text=soup)
def test_law_4_every_fragment_is_a_prefix_of_valid_json(shape: str, text: str):
    said: dict[int, str] = {}
    for piece in pieces_of(Scanner(FORMATS[shape], tools=TOOLS), text):
        if isinstance(piece, CallPiece):
            said[piece.index] = said.get(piece.index, "") + piece.arguments
            if said[piece.index]:
                assert isinstance(completed(said[piece.index]), dict)


@shapes
@few
@given(text=soup)
def test_law_5_never_empty(shape: str, text: str):
    heard = scan(shape, text)
    assert heard.calls or heard.text == text


@shapes
@few
@given(data=st.data(), calls=some_calls)
def test_law_6_truncation_is_visible(shape: str, data: st.DataObject, calls: list):
    unambiguous(shape, calls)
    text = speak(shape, calls)
    heard = scan(shape, text[: data.draw(st.integers(0, len(text)))])
    check_arguments(heard)
    assert heard.made == [(name, dict(arguments)) for name, arguments in calls][: len(heard.made)]


@pytest.mark.parametrize("shape", JSON)
@few
@given(call=reads, mend=st.sampled_from([(",}", "}"), (', "limit": None}', ', "limit": null}')]))
def test_law_7_repairs_are_narrow_and_told(shape: str, call: tuple, mend: tuple):
    untidy, tidy = mend
    name, arguments = call
    written = dumps({"file_path": arguments["file_path"]})
    text = speak(shape, [(name, {"file_path": arguments["file_path"]})])
    assume(text.count(written) == 1)
    told: list[str] = []
    heard = scan(shape, text.replace(written, written[:-1] + untidy), repaired=told.append)
    assert heard.made == [(name, json.loads(written[:-1] + tidy))]
    assert len(told) == 1


@shapes
@few
@given(number=st.integers(0, 10**9), flag=st.booleans())
def test_law_8_values_take_the_schemas_types(shape: str, number: int, flag: bool):
    untidy = [
        ("Read", {"limit": str(number)}),
        ("Edit", {"replace_all": str(flag).lower(), "lines": dumps([number])}),
    ]
    for size in (0, 1):
        assert scan(shape, speak(shape, untidy), size=size).made == [
            ("Read", {"limit": number}),
            ("Edit", {"replace_all": flag, "lines": [number]}),
        ]


@shapes
@few
@given(data=st.data(), before=prose, after=prose)
def test_law_9_closing_tags_inside_values_are_the_values(
    shape: str, data: st.DataObject, before: str, after: str
):
    mark = data.draw(st.sampled_from(sorted(FORMATS[shape].markers) or ["</x>"]))
    call = ("Write", {"content": f"{before}{mark}{after}", "file_path": "/a"})
    unambiguous(shape, [call])
    assert scan(shape, speak(shape, [call])).made == [call]


@shapes
@few
@given(number=st.integers(0, 999), dialect=st.sampled_from(DIALECTS))
def test_law_10_another_dialect_is_understood(shape: str, number: int, dialect: str):
    call = ("Read", {"file_path": "/a", "limit": number})
    heard = scan(shape, f"So:\n{speak(dialect, [call])}")
    if (shape, dialect) not in {("compact_xml", "qwen_xml")}:  # there line ends are the value's
        assert heard.made == [call]


@marked
@few
@given(name=st.from_regex(r"[a-z]{3,12}(_[a-z]{1,8})?", fullmatch=True))
def test_law_11_an_unknown_tool_is_passed_on(shape: str, name: str):
    assume(name not in ("functions", "function", "call"))
    call = (name, {"file_path": "/a"})
    assert scan(shape, speak(shape, [call])).made == [call]


@shapes
@few
@given(content=st.text(alphabet="a\n\r\t ", max_size=12))
def test_law_12_line_ends_of_a_value_are_kept(shape: str, content: str):
    call = ("Write", {"file_path": "/a", "content": content})
    assert scan(shape, speak(shape, [call]), thinking=THINK).made == [call]
