"""Places of JSON values are those that a parser finds, for any layout of the text."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.wire.json_spans import JsonSyntaxError, Spans

TEXTS = st.text(alphabet='ab"\\{}[],: \n\u00e4\u2028', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=40)
def test_members_are_found_where_they_stand(value: dict[str, Any], indent: int | None, ascii_: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_).encode("utf-8", "replace")
    cursor, found = Spans(bytearray(text)), {}
    for key in cursor.members():
        start, end = cursor.value()
        found[key] = json.loads(text[start:end])
    cursor.end()
    assert found == json.loads(text)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
@settings(max_examples=30)
def test_elements_are_found_where_they_stand(value: list[Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    cursor, found = Spans(text), []
    for start in cursor.elements():
        assert cursor.value()[0] == start
        found.append(json.loads(text[start : cursor.at]))
    cursor.end()
    assert found == value


MALFORMED = (
    b"", b"{", b'{"a"', b'{"a":', b'{"a":}', b'{"a" 1}', b"{a:1}", b'{"a":1,}', b'{"a":1]', b'{"a":"x}',
    b'{"a":[}', b'{"a":1} 2', b'{"\\x":1}', b"[1]", b'{"a":1 "b":2}', b'{"a":1,,"b":2}', b"{1:2}",
)  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_text_that_is_malformed_between_its_values_is_refused(text: bytes) -> None:
    with pytest.raises(JsonSyntaxError):
        pass_object(Spans(text))


def pass_object(cursor: Spans) -> None:
    for _ in cursor.members():
        cursor.value()
    cursor.end()


def test_long_runs_of_backslashes_and_brackets_are_passed() -> None:
    text = b'{"a":"' + b"\\\\" * 500_000 + b'","b":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    cursor = Spans(text)
    assert [(key, len(range(*cursor.value()))) for key in cursor.members()] == [
        ("a", 1_000_002),
        ("b", 400_000),
    ]
