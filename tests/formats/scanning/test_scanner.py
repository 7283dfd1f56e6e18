"""Properties of the scanner that hold in every format."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from formats.samples import SAMPLE_WRITERS, TOOLS, write_calls
from formats.whole_scan import THINK, THINKING, ScanResult, completed, join, pieces_of, scan, split
from vllm_messages_plugin.formats.scanning.compiled import compiled_format
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT, PatternMatch
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Scanner

BIG = 256 * 1024
LONGEST_TAG = 64
all_formats = pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))
any_format = st.sampled_from(sorted(SAMPLE_WRITERS))
MARKUP = sorted({tag for call_format in FORMATS.values() for tag in call_format.markers})


ODD = ["\n", "\n\n", " ", '"', "'", "\\", "\\n", "\\u00e9", "é", "😀", "</", "<", "`", "\t", "\r\n"]
LIKE_CODE = ['{"a": [1]}', "[]", "True", "null", "5", "```json\n", "Read(", ", a=1", "')", '")', '",']
pieces_of_text = st.one_of(st.text(max_size=12), st.sampled_from([*ODD, *LIKE_CODE]), st.sampled_from(MARKUP))
values = st.lists(pieces_of_text, max_size=8).map("".join)
prose = st.text(alphabet="abc é😀.,:\n -*`'\"()", min_size=1, max_size=40).filter(
    lambda text: "```" not in text and not text.isspace()
)
reads = st.tuples(
    st.just("Read"), st.fixed_dictionaries({"file_path": values}, optional={"limit": st.integers(0, 999)})
)
writes = st.tuples(st.just("Write"), st.fixed_dictionaries({"file_path": values, "content": values}))
edits = st.tuples(
    st.just("Edit"),
    st.fixed_dictionaries(
        {"replace_all": st.booleans()},
        optional={
            "lines": st.lists(st.integers(), max_size=3),
            "ratio": st.floats(allow_nan=False, allow_infinity=False, width=16),
            "after": st.none() | st.integers(),
            "options": st.fixed_dictionaries({"depth": st.integers()}),
        },
    ),
)
nows = st.tuples(st.just("Now"), st.just({}))
some_calls = st.lists(st.one_of(reads, writes, edits, nows), min_size=1, max_size=3)


def is_ambiguous(format_name: str, value: str) -> bool:
    """True if a value contains what ends a value: no parser could tell the two apart."""
    for section in FORMATS[format_name].sections:
        for form in section.calls:
            quotes = {form.quote} - {""}
            if any(quote in value for quote in quotes):
                return True
    for trigger in compiled_format(FORMATS[format_name]).triggers.values():
        for syntax in trigger.section.syntaxes.values():
            for at in range(len(value) if syntax.source.arg_open else 0):
                if any(isinstance(end.match(value + "\0", at), PatternMatch) for end in syntax.value_ends):
                    return True
    return False


def strings_in(calls: list) -> list[str]:
    return [value for _, arguments in calls for value in arguments.values() if isinstance(value, str)]


@all_formats
@settings(max_examples=40, deadline=None)
@given(calls=some_calls)
def test_calls_come_back_as_they_were_written(format_name: str, calls: list):
    assume(not any(is_ambiguous(format_name, value) for value in strings_in(calls)))
    result = scan(format_name, write_calls(format_name, calls))
    assert result.complete_calls == [(name, dict(arguments)) for name, arguments in calls]
    assert result.text == ""


@all_formats
@pytest.mark.parametrize("after", ["Done.", "Done.\n", "Done\n\n", ":\n"])
def test_text_behind_a_call_is_kept_whatever_ends_it(format_name: str, after: str) -> None:
    result = scan(format_name, f"Look:\n{write_calls(format_name, [('Now', {})])}\n\n{after}")
    assert result.order == "tct"
    assert result.text == f"Look:{after}"


@all_formats
@settings(max_examples=15, deadline=None)
@given(before=prose, after=prose, calls=some_calls)
def test_text_before_and_after_calls_is_text(format_name: str, before: str, after: str, calls: list):
    assume(not any(is_ambiguous(format_name, value) for value in strings_in(calls)))
    result = scan(format_name, f"{before}\n{write_calls(format_name, calls)}\n\n{after}")
    assert len(result.complete_calls) == len(calls)
    assert result.order == "t" + "c" * len(calls) + "t"
    blanks = after[: len(after) - len(after.lstrip())]
    assert result.text == before.rstrip() + after[blanks.rfind("\n") + 1 :]


def cut_up(data: st.DataObject, text: str) -> list[str]:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@all_formats
@settings(max_examples=25, deadline=None)
@given(data=st.data(), calls=some_calls, before=values, after=values)
def test_every_split_gives_the_same(
    format_name: str, data: st.DataObject, calls: list, before: str, after: str
):
    text = before + write_calls(format_name, calls) + after
    text = text[: data.draw(st.integers(0, len(text)))] if data.draw(st.booleans()) else text
    thinking = data.draw(st.sampled_from([None, THINK, THINKING]))
    whole = scan(format_name, text, thinking=thinking)
    assert scan(format_name, text, size=1, thinking=thinking) == whole
    assert scan(format_name, cut_up(data, text), thinking=thinking) == whole


SOUP = [
    *("Read", "Write", "file_path", "limit", "5", "true", "None", "<think>", "</think>", "```", "\\"),
    *("{", "}", "[", "]", '"', "'", ":", ",", "=", "(", ")", '"a":', '{"name":', '"arguments":'),
    *('"parameters":"{', '"Read",', "<function=Read>", "<parameter=limit>"),
]
soup = st.lists(
    st.one_of(
        st.sampled_from(MARKUP),
        st.sampled_from([*SOUP, '<invoke name="Read">', "\n", " "]),
        st.text(max_size=5),
    ),
    max_size=40,
).map("".join)


@settings(max_examples=600, deadline=None)
@given(data=st.data(), format_name=st.sampled_from(sorted(FORMATS)), text=soup)
def test_random_markup_gives_the_same_for_every_split(data: st.DataObject, format_name: str, text: str):
    thinking = data.draw(st.sampled_from([None, THINK, THINKING]))
    whole = scan(format_name, text, thinking=thinking)
    assert scan(format_name, text, size=1, thinking=thinking) == whole
    assert scan(format_name, cut_up(data, text), thinking=thinking) == whole
    check_arguments(whole)


def check_arguments(result: ScanResult) -> None:
    for _, arguments, complete in result.calls:
        if complete:
            assert isinstance(json.loads(arguments), dict)
        else:
            assert isinstance(completed(arguments), dict)
            with pytest.raises(json.JSONDecodeError):
                json.loads(arguments)


@all_formats
@settings(max_examples=10, deadline=None)
@given(calls=some_calls)
def test_arguments_are_at_every_moment_the_beginning_of_an_object(format_name: str, calls: list):
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    so_far: dict[int, str] = {}
    for char in write_calls(format_name, calls):
        for piece in scanner.feed(char):
            if isinstance(piece, CallPiece):
                so_far[piece.index] = so_far.get(piece.index, "") + piece.arguments
                if so_far[piece.index]:
                    assert isinstance(completed(so_far[piece.index]), dict)


@all_formats
@settings(max_examples=15, deadline=None)
@given(data=st.data(), call=st.one_of(reads, writes, edits))
def test_a_cut_call_stays_visibly_cut(format_name: str, data: st.DataObject, call: tuple):
    assume(not any(is_ambiguous(format_name, value) for value in strings_in([call])))
    text = write_calls(format_name, [call])
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    result = scan(format_name, cut, cut=True)
    check_arguments(result)
    if result.complete_calls:  # then nothing of the call was missing, only a tag behind it
        assert result.complete_calls == [(call[0], dict(call[1]))]
    if not result.calls:  # only fragments of markup at the end are dropped
        assert cut.startswith(result.text)


@all_formats
@pytest.mark.parametrize("size", [1, 7])
def test_a_long_string_streams_as_it_is_written(format_name: str, size: int):
    content = "a line of text, é and so on.\n" * 200
    text = write_calls(format_name, [("Write", {"file_path": "/a", "content": content})])
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    fed = emitted = 0
    begins = text.index("a line")
    for chunk in split(text, size):
        fed += len(chunk)
        emitted += sum(len(piece.arguments) for piece in scanner.feed(chunk) if isinstance(piece, CallPiece))
        if begins + LONGEST_TAG < fed < begins + len(content):
            assert emitted >= fed - begins - SPACE_LIMIT - LONGEST_TAG - size


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_plain_text_is_held_back_only_while_it_may_be_markup(format_name: str):
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    text = "A < b, `x` and 'y' (f(1))? Yes. " * 20
    emitted = sum(len(piece.text) for char in text for piece in scanner.feed(char))
    assert emitted >= len(text) - SPACE_LIMIT - LONGEST_TAG


@all_formats
def test_markup_without_a_call_is_text_byte_for_byte(format_name: str):
    text = write_calls(format_name, [("Write", {"file_path": "/a", "content": "b"})])
    mangled = text.replace("Write", "<>").replace("arguments", "<>").replace("parameters", "<>")
    assert scan(format_name, mangled, size=1).text == mangled


@all_formats
@pytest.mark.parametrize("size", [0, 1])
def test_two_calls_unicode_and_line_ends(format_name: str, size: int):
    calls = [
        ("Write", {"file_path": "/ä/😀.txt", "content": "\n\n  one\ttwo\n\n\n"}),
        ("Read", {"file_path": "/b\\n", "limit": 5}),
        ("Edit", {"lines": [1, 2], "after": None, "edits": [{"old": "a\nb", "all": False}]}),
    ]
    result = scan(format_name, write_calls(format_name, calls), size=size)
    assert result.complete_calls == calls


@all_formats
def test_a_call_inside_open_thinking_ends_it(format_name: str):
    if any(not section.open and not section.foreign for section in FORMATS[format_name].sections):
        pytest.skip("an untagged call cannot be told from a draft in thinking")
    if FORMATS[format_name].drafts == "always" and not FORMATS[format_name].sections[0].close:
        pytest.skip("without a closing tag a call cannot be told from a draft in thinking")
    text = f"<think>\nI should read.\n{write_calls(format_name, [('Now', {})])}</think>\n\nDone."
    result = scan(format_name, text, thinking=THINK, size=1)
    assert result.complete_calls == [("Now", {})]
    assert (result.thinking, result.text, result.order) == ("I should read.", "Done.", "hct")


@all_formats
def test_a_long_argument_is_read_completely(format_name: str):
    content = ('def f(x):\n    return {"a": x < 3}  # it\'s </b>\n' * (BIG // 40))[:BIG]
    text = write_calls(format_name, [("Write", {"file_path": "/a.py", "content": content})])
    scanner = Scanner(FORMATS[format_name], tools=TOOLS)
    result = join(pieces_of(scanner, split(text, 4)))
    assert result.complete_calls == [("Write", {"file_path": "/a.py", "content": content})]


@pytest.mark.parametrize(
    ("format_name", "begin"),
    [
        ("hermes_json", "Some text."),
        ("hermes_json", '<tool_call>\n{"name": "Write", "arguments": {"content": "x'),
        ("qwen_xml", "<tool_call>\n<function=Write>\n<parameter=content>\nx"),
    ],
    ids=["text", "a JSON string", "a tagged value"],
)
def test_plain_chunks_do_not_resume_the_parser(format_name: str, begin: str) -> None:
    scanner = Scanner(FORMATS[format_name])
    scanner.feed(begin)
    rest, scanner._parser = scanner._parser, (None for _ in ())
    pieces = [piece for chunk in (" one", " two") for piece in scanner.feed(chunk)]
    texts = [getattr(piece, "text", None) or getattr(piece, "arguments", "") for piece in pieces]
    assert texts == [" one", " two"]
    scanner._parser = rest
    assert "three" in repr(scanner.feed(" <three"))


def test_scanners_of_one_format_share_what_is_compiled() -> None:
    first, second, other = (Scanner(FORMATS[name]) for name in ("hermes_json", "hermes_json", "mistral"))
    assert first._finder is second._finder
    assert first._finder is not other._finder
