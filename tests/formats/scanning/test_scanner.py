"""The laws of the scanner, each over every shape it knows."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from formats.samples import SPOKEN, TOOLS, speak
from formats.whole_scan import THINK, THINKING, Heard, completed, join, pieces_of, scan, split
from vllm_messages_plugin.formats.scanning.compiled import compiled_format
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT, PatternMatch
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Scanner

BIG = 256 * 1024
LONGEST_MARK = 64
shapes = pytest.mark.parametrize("shape", sorted(SPOKEN))
every_shape = st.sampled_from(sorted(SPOKEN))
MARKUP = sorted({mark for shape in FORMATS.values() for mark in shape.markers})


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


def is_ambiguous(shape: str, value: str) -> bool:
    """Whether a value holds the very words that end one: no reader could tell."""
    for section in FORMATS[shape].sections:
        for form in section.forms:
            quotes = {form.quote} - {""}
            if any(quote in value for quote in quotes):
                return True
    for trigger in compiled_format(FORMATS[shape]).triggers.values():
        for spelling in trigger.chapter.spellings.values():
            for at in range(len(value) if spelling.form.param else 0):
                if any(isinstance(mark.match(value + "\0", at), PatternMatch) for mark in spelling.follows):
                    return True
    return False


def strings_in(calls: list) -> list[str]:
    return [value for _, arguments in calls for value in arguments.values() if isinstance(value, str)]


@shapes
@settings(max_examples=40, deadline=None)
@given(calls=some_calls)
def test_calls_come_back_as_they_were_written(shape: str, calls: list):
    assume(not any(is_ambiguous(shape, value) for value in strings_in(calls)))
    heard = scan(shape, speak(shape, calls))
    assert heard.made == [(name, dict(arguments)) for name, arguments in calls]
    assert heard.text == ""


@shapes
@settings(max_examples=15, deadline=None)
@given(before=prose, after=prose, calls=some_calls)
def test_text_before_and_after_calls_is_text(shape: str, before: str, after: str, calls: list):
    assume(not any(is_ambiguous(shape, value) for value in strings_in(calls)))
    heard = scan(shape, f"{before}\n{speak(shape, calls)}\n\n{after}")
    assert len(heard.made) == len(calls)
    assert heard.order == "t" + "c" * len(calls) + "t"
    blanks = after[: len(after) - len(after.lstrip())]
    assert heard.text == before.rstrip() + after[blanks.rfind("\n") + 1 :]


def cut_up(data: st.DataObject, text: str) -> list[str]:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@shapes
@settings(max_examples=25, deadline=None)
@given(data=st.data(), calls=some_calls, before=values, after=values)
def test_every_split_gives_the_same(shape: str, data: st.DataObject, calls: list, before: str, after: str):
    text = before + speak(shape, calls) + after
    text = text[: data.draw(st.integers(0, len(text)))] if data.draw(st.booleans()) else text
    thinking = data.draw(st.sampled_from([None, THINK, THINKING]))
    whole = scan(shape, text, thinking=thinking)
    assert scan(shape, text, size=1, thinking=thinking) == whole
    assert scan(shape, cut_up(data, text), thinking=thinking) == whole


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
@given(data=st.data(), shape=st.sampled_from(sorted(FORMATS)), text=soup)
def test_soup_gives_the_same_for_every_split_and_is_never_lost(data: st.DataObject, shape: str, text: str):
    thinking = data.draw(st.sampled_from([None, THINK, THINKING]))
    whole = scan(shape, text, thinking=thinking)
    assert scan(shape, text, size=1, thinking=thinking) == whole
    assert scan(shape, cut_up(data, text), thinking=thinking) == whole
    if not whole.calls and thinking is None:
        assert whole.text == text
    if thinking is None and text.strip():
        assert whole.order
    check_arguments(whole)


def check_arguments(heard: Heard) -> None:
    for _, arguments, whole in heard.calls:
        if whole:
            assert isinstance(json.loads(arguments), dict)
        else:
            assert isinstance(completed(arguments), dict)
            with pytest.raises(json.JSONDecodeError):
                json.loads(arguments)


@shapes
@settings(max_examples=10, deadline=None)
@given(calls=some_calls)
def test_arguments_are_at_every_moment_the_beginning_of_an_object(shape: str, calls: list):
    scanner = Scanner(FORMATS[shape], tools=TOOLS)
    sofar: dict[int, str] = {}
    for char in speak(shape, calls):
        for piece in scanner.feed(char):
            if isinstance(piece, CallPiece):
                sofar[piece.index] = sofar.get(piece.index, "") + piece.arguments
                if sofar[piece.index]:
                    assert isinstance(completed(sofar[piece.index]), dict)


@shapes
@settings(max_examples=15, deadline=None)
@given(data=st.data(), call=st.one_of(reads, writes, edits))
def test_a_cut_call_stays_visibly_cut(shape: str, data: st.DataObject, call: tuple):
    assume(not any(is_ambiguous(shape, value) for value in strings_in([call])))
    text = speak(shape, [call])
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    heard = scan(shape, cut)
    check_arguments(heard)
    if heard.made:  # then nothing of the call was missing, only a mark behind it
        assert heard.made == [(call[0], dict(call[1]))]
    if not heard.calls:
        assert heard.text == cut


@shapes
@pytest.mark.parametrize("size", [1, 7])
def test_a_long_string_streams_as_it_is_written(shape: str, size: int):
    content = "a line of text, é and so on.\n" * 200
    text = speak(shape, [("Write", {"file_path": "/a", "content": content})])
    scanner = Scanner(FORMATS[shape], tools=TOOLS)
    fed = said = 0
    begins = text.index("a line")
    for chunk in split(text, size):
        fed += len(chunk)
        said += sum(len(piece.arguments) for piece in scanner.feed(chunk) if isinstance(piece, CallPiece))
        if begins + LONGEST_MARK < fed < begins + len(content):
            assert said >= fed - begins - SPACE_LIMIT - LONGEST_MARK - size


@pytest.mark.parametrize("shape", sorted(FORMATS))
def test_plain_text_is_held_back_only_while_it_may_be_markup(shape: str):
    scanner = Scanner(FORMATS[shape], tools=TOOLS)
    text = "A < b, `x` and 'y' (f(1))? Yes. " * 20
    said = sum(len(piece.text) for char in text for piece in scanner.feed(char))
    assert said >= len(text) - SPACE_LIMIT - LONGEST_MARK


@shapes
def test_markup_without_a_call_is_text_byte_for_byte(shape: str):
    text = speak(shape, [("Write", {"file_path": "/a", "content": "b"})])
    mangled = text.replace("Write", "<>").replace("arguments", "<>").replace("parameters", "<>")
    assert scan(shape, mangled, size=1).text == mangled


@shapes
@pytest.mark.parametrize("size", [0, 1])
def test_two_calls_unicode_and_line_ends(shape: str, size: int):
    calls = [
        ("Write", {"file_path": "/ä/😀.txt", "content": "\n\n  one\ttwo\n\n\n"}),
        ("Read", {"file_path": "/b\\n", "limit": 5}),
        ("Edit", {"lines": [1, 2], "after": None, "edits": [{"old": "a\nb", "all": False}]}),
    ]
    heard = scan(shape, speak(shape, calls), size=size)
    assert heard.made == calls


@shapes
def test_a_call_inside_an_open_thought_ends_it(shape: str):
    if any(not section.open and not section.foreign for section in FORMATS[shape].sections):
        pytest.skip("a call without marks is not told from a draft in a thought")
    text = f"<think>\nI should read.\n{speak(shape, [('Now', {})])}</think>\n\nDone."
    heard = scan(shape, text, thinking=THINK, size=1)
    assert heard.made == [("Now", {})]
    assert (heard.thought, heard.text, heard.order) == ("I should read.", "Done.", "hct")


@shapes
def test_a_long_argument_is_read_whole(shape: str):
    content = ('def f(x):\n    return {"a": x < 3}  # it\'s </b>\n' * (BIG // 40))[:BIG]
    text = speak(shape, [("Write", {"file_path": "/a.py", "content": content})])
    scanner = Scanner(FORMATS[shape], tools=TOOLS)
    heard = join(pieces_of(scanner, split(text, 4)))
    assert heard.made == [("Write", {"file_path": "/a.py", "content": content})]
