"""Markup patterns, matched against text whose end may not have arrived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.formats.scanning.literal_finder import LiteralFinder
from vllm_messages_plugin.formats.scanning.patterns import (
    SPACE_LIMIT,
    MarkupPattern,
    NoMatch,
    PatternMatch,
    match_first,
)

INVOKE = MarkupPattern('<invoke name="{name}"{attributes}>')
PARAMETER = MarkupPattern("</arg_value> <arg_key>{key}</arg_key>")


def test_a_pattern_is_matched_with_its_fields():
    found = INVOKE.match('x<invoke  name="mcp__a.b" id="1">', 1)
    assert isinstance(found, PatternMatch)
    assert (found.end, found.fields["name"]) == (33, "mcp__a.b")


@pytest.mark.parametrize("pattern", [INVOKE, PARAMETER])
def test_every_prefix_of_a_match_is_partial(pattern: MarkupPattern):
    text = '<invoke name="f">' if pattern is INVOKE else "</arg_value>\n  <arg_key>k</arg_key>"
    for end in range(len(text)):
        assert pattern.match(text[:end], 0) is NoMatch.PARTIAL
        assert pattern.match(f"{text[:end]}\x01<\n", 0) is NoMatch.NO
    assert isinstance(pattern.match(text, 0), PatternMatch)


def test_whitespace_and_fields_have_a_maximum_length():
    assert PARAMETER.match("</arg_value>" + " " * (SPACE_LIMIT + 1) + "<arg_key>", 0) is NoMatch.NO
    assert INVOKE.match('<invoke name="' + "a" * 1000, 0) is NoMatch.NO


def test_a_pattern_that_may_still_match_is_waited_for():
    patterns = (MarkupPattern("abc"), MarkupPattern("ab"))
    assert match_first(patterns, "ab", 0) is NoMatch.PARTIAL
    assert isinstance(match_first(patterns, "ab", 0, ended=True), PatternMatch)
    found = match_first(patterns, "abd", 0)
    assert isinstance(found, PatternMatch)
    assert found.pattern is patterns[1]


def test_literals_are_the_fixed_parts():
    assert INVOKE.literals == ("<invoke", 'name="', '"', ">")
    assert INVOKE.first_literal == "<invoke"
    assert MarkupPattern("{name}(").first_literal == ""


def test_a_literal_that_begins_with_a_letter_is_not_found_inside_a_word():
    finder = LiteralFinder(["call:", "<call>"])
    assert finder.find_at_end("recall: x", 0) == (9, "")
    assert finder.find("recall: <c", 0) == (8, "")
    assert finder.find("re-call: x", 0) == (3, "call:")
    assert finder.find("<call>call: x", 6) == (6, "call:")
    assert finder.find("I recal", 0) == (7, "")
    assert finder.find("I cal", 0) == (2, "")


@given(text=st.text(alphabet="<ab>|", max_size=20), data=st.data())
def test_the_finder_finds_the_same_in_every_split(text: str, data: st.DataObject):
    finder = LiteralFinder(["<a>", "<ab>", "b>", "<a|", "|"])
    place, word = finder.find_at_end(text, 0)
    for end in range(len(text) + 1):
        early, found = finder.find(text[:end], 0)
        assert early <= place or (early == end and not found)
        if found:
            assert (early, found) == (place, word)
