"""Bare words, text in single quotes, and punctuation that is missing, in every format with JSON arguments."""

from typing import Any

import pytest

from formats.samples import SAMPLE_WRITERS, dumps, write_calls
from formats.whole_scan import scan
from vllm_messages_plugin.formats.scanning import repair

ARGUMENTS = {"s": "Oslo", "n": 5, "b": True, "l": ["x"], "o": {"a": 1}, "x": "end"}
TOOL = {
    "name": "mix",
    "input_schema": {
        "type": "object",
        "properties": {
            "s": {"type": "string"},
            "n": {"type": "integer"},
            "b": {"type": "boolean"},
            "l": {"type": "array", "items": {"type": "string"}},
            "o": {"type": "object"},
            "x": {"type": ["string", "number"]},
            "y": {},
        },
    },
}
CALL = ("mix", ARGUMENTS)
JSON = sorted(name for name in SAMPLE_WRITERS if dumps(ARGUMENTS) in write_calls(name, [CALL]))
each = pytest.mark.parametrize("format_name", JSON)


def read(format_name: str, tidy: str, untidy: str) -> tuple[list[tuple[str, Any]], list[str]]:
    text = write_calls(format_name, [CALL])
    assert tidy in text
    repairs: list[str] = []
    found = [
        scan(format_name, text.replace(tidy, untidy), size=size, tools=[TOOL], on_repair=note)
        for size, note in ((0, repairs.append), (1, None), (7, None))
    ]
    assert found[1:] == [found[0]] * 2
    assert not (found[0].calls and found[0].text)
    return found[0].complete_calls, [line.split(": ", 1)[1] for line in repairs]


def with_(**changed: object) -> list[tuple[str, Any]]:
    return [("mix", ARGUMENTS | changed)]


@each
@pytest.mark.parametrize("word", ["Rome", "New York", "NaN", "-Infinity", "a-b_c.d/e", "1e5x"])
def test_a_bare_word_is_text_where_the_schema_asks_for_text(format_name: str, word: str) -> None:
    assert read(format_name, '"Oslo"', word) == (with_(s=word), [repair.BARE_WORD])


@each
@pytest.mark.parametrize(
    ("tidy", "untidy"),
    [
        ('"n": 5', '"n": five'),  # no text may stand there
        ('"n": 5', '"n": NaN'),
        ('"x": "end"', '"x": NaN'),  # a number or text
        ('"x": "end"', '"y": word'),  # anything
        ('"Oslo"', "undefined"),  # no value at all
        ('"Oslo"', 'a "b" c'),
        ('"Oslo"', "a {b} c"),
        ('"Oslo"', "a, b"),
        ('"n": 5', "\"n\": 'five'"),
    ],
)
def test_a_word_that_may_mean_more_than_one_thing_makes_no_complete_call(
    format_name: str, tidy: str, untidy: str
) -> None:
    assert read(format_name, tidy, untidy)[0] == []


@each
@pytest.mark.parametrize(
    ("written", "text"), [("'Rome'", "Rome"), (r"'it\'s'", "it's"), ("'it's'", "it's"), ("'a, b'", "a, b")]
)
def test_text_in_single_quotes_is_text(format_name: str, written: str, text: str) -> None:
    assert read(format_name, '"Oslo"', written) == (with_(s=text), [repair.PYTHON_LITERAL])


@each
@pytest.mark.parametrize("key", ["s", "n", "b", "l", "o"])
def test_a_colon_may_be_missing_before_any_value(format_name: str, key: str) -> None:
    for untidy in (f'"{key}" ', f'"{key}"'):
        assert read(format_name, f'"{key}": ', untidy) == (with_(), [repair.MISSING_COLON])


@each
@pytest.mark.parametrize("key", ["n", "b", "l", "o", "x"])
def test_a_comma_may_be_missing_before_a_key_of_the_schema(format_name: str, key: str) -> None:
    assert read(format_name, f', "{key}":', f' "{key}":') == (with_(), [repair.MISSING_COMMA])


@each
def test_text_in_quotes_behind_text_is_no_key_unless_the_schema_has_it(format_name: str) -> None:
    assert read(format_name, '"Oslo", "n": 5', '"say "hi": now", "n": 5')[0] == []
    assert read(format_name, '"Oslo", "n": 5', '"echo" "hello"')[0] == []


@each
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_value_encoded_as_text_has_the_type_of_the_schema(format_name: str, layers: int) -> None:
    for key in ("n", "b", "l", "o"):
        written = tidy = dumps(ARGUMENTS[key])
        for _ in range(layers):
            written = dumps(written)
        assert read(format_name, f'"{key}": {tidy}', f'"{key}": {written}')[0] == with_()


@each
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_arguments_encoded_as_text_are_read(format_name: str, layers: int) -> None:
    written = dumps(ARGUMENTS)
    for _ in range(layers):
        written = dumps(written)
    assert read(format_name, dumps(ARGUMENTS), written) == (with_(), [repair.TEXT_ARGUMENTS])


@each
def test_a_brace_too_many_is_no_text(format_name: str) -> None:
    assert read(format_name, '"end"}', '"end"}}')[0] == with_()
