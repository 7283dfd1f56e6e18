"""Marks: markup with blanks, matched against text that may not have come whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.formats.scanning.compiled import LiteralFinder
from vllm_messages_plugin.formats.scanning.patterns import (
    SPACE_LIMIT,
    MarkupPattern,
    NoMatch,
    PatternMatch,
    match_first,
)

INVOKE = MarkupPattern('<invoke name="{name}"{attributes}>')
PARAMETER = MarkupPattern("</arg_value> <arg_key>{key}</arg_key>")


def test_a_mark_is_matched_with_its_blanks():
    found = INVOKE.match('x<invoke  name="mcp__a.b" id="1">', 1)
    assert isinstance(found, PatternMatch)
    assert (found.end, found.filled["name"]) == (33, "mcp__a.b")


@pytest.mark.parametrize("mark", [INVOKE, PARAMETER])
def test_every_beginning_may_yet_match(mark: MarkupPattern):
    text = '<invoke name="f">' if mark is INVOKE else "</arg_value>\n  <arg_key>k</arg_key>"
    for end in range(len(text)):
        assert mark.match(text[:end], 0) is NoMatch.PARTIAL
        assert mark.match(f"{text[:end]}\x01<\n", 0) is NoMatch.NO
    assert isinstance(mark.match(text, 0), PatternMatch)


def test_white_space_and_blanks_are_bounded():
    assert PARAMETER.match("</arg_value>" + " " * (SPACE_LIMIT + 1) + "<arg_key>", 0) is NoMatch.NO
    assert INVOKE.match('<invoke name="' + "a" * 1000, 0) is NoMatch.NO


def test_the_first_mark_that_still_may_match_is_waited_for():
    marks = (MarkupPattern("abc"), MarkupPattern("ab"))
    assert match_first(marks, "ab", 0) is NoMatch.PARTIAL
    assert isinstance(match_first(marks, "ab", 0, ended=True), PatternMatch)
    found = match_first(marks, "abd", 0)
    assert isinstance(found, PatternMatch)
    assert found.mark is marks[1]


def test_literals_are_the_fixed_pieces():
    assert INVOKE.literals == ("<invoke", 'name="', '"', ">")
    assert INVOKE.head == "<invoke"
    assert MarkupPattern("{name}(").head == ""


@given(text=st.text(alphabet="<ab>|", max_size=20), data=st.data())
def test_the_finder_finds_the_same_in_every_split(text: str, data: st.DataObject):
    finder = LiteralFinder(["<a>", "<ab>", "b", "<a|", "|"])
    place, word = finder.at_end(text, 0)
    for end in range(len(text) + 1):
        early, found = finder.find(text[:end], 0)
        assert early <= place or (early == end and not found)
        if found:
            assert (early, found) == (place, word)
