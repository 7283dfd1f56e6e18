"""A body with too many JSON values is refused before it is parsed, however its text is made up."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.http import json_size
from vllm_messages_plugin.http.json_size import (
    MAX_ESCAPES,
    MAX_EXCESS_KEYS,
    MAX_NON_ASCII_BYTES,
    MAX_OBJECTS,
    MAX_VALUES,
    USUAL_KEYS,
    check_json_size,
)
from vllm_messages_plugin.wire.errors import MessagesError

TEXT = st.text(st.sampled_from('ab"\\{[,]}:\u00e9\n'))
JSON: Any = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def objects_in(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict) + sum(map(objects_in, inner))


@given(value=JSON, spare=st.integers(-1, 1), window=st.integers(2, 9))
def test_exactly_the_bodies_with_too_many_objects_are_refused(value: Any, spare: int, window: int) -> None:
    limit = objects_in(value) + spare
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "MAX_OBJECTS", limit)
        patch.setattr(json_size, "WINDOW", window)
        if spare < 0:
            with pytest.raises(MessagesError, match=f"more than {limit} objects"):
                check_json_size(json.dumps(value).encode())
        else:
            check_json_size(json.dumps(value).encode())


@pytest.mark.parametrize(
    "text", [b"{" * (2 * MAX_OBJECTS), b"," * (2 * MAX_VALUES), b":" * MAX_VALUES, b"\\\\" * MAX_VALUES]
)
def test_punctuation_in_a_string_counts_for_nothing(text: bytes) -> None:
    check_json_size(b'{"text":"' + text + b'"}')


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (b"[" + b"{}," * (MAX_OBJECTS + 1) + b"0]", "objects"),
        (b"[" + b"1," * (MAX_VALUES + 1) + b"0]", "values"),
        (b"[" * (MAX_VALUES + 1), "values"),
        (b"{" + b'"k":0,' * (MAX_EXCESS_KEYS + USUAL_KEYS + 1) + b"}", "keys"),
        (b"[" + b'"{",' * (MAX_VALUES + 1) + b"0]", "values"),
    ],
    ids=["objects", "numbers", "open arrays", "keys", "strings"],
)
def test_a_body_with_too_many_values_is_refused(body: bytes, limit: str) -> None:
    with pytest.raises(MessagesError) as raised:
        check_json_size(body)
    assert raised.value.kind == "request_too_large"
    assert limit in raised.value.message


@pytest.mark.parametrize("unit", [b"{", b'"', b"\\", b'\\"', b"x", b'{"":"",', b'"{"'], ids=repr)
@given(size=st.integers(0, 200), window=st.integers(2, 9))
def test_every_byte_of_a_broken_body_is_looked_at_once(unit: bytes, size: int, window: int) -> None:
    body = unit * size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "WINDOW", window)
        assert b"".join(json_size._windows(body)) == body
        with contextlib.suppress(MessagesError):
            check_json_size(body)


@pytest.mark.parametrize("escape", [b"\\n", b"\\\\", b'\\"'])
def test_a_body_with_too_many_escapes_is_refused(escape: bytes) -> None:
    most = MAX_ESCAPES // escape.count(b"\\")
    check_json_size(b'["' + escape * most + b'"]')
    with pytest.raises(MessagesError, match=f"more than {MAX_ESCAPES} escapes") as refused:
        check_json_size(b'["' + escape * (most + 1) + b'"]')
    assert refused.value.status == 413


def non_ascii_bytes(value: Any) -> int:
    """What the strings of a value with a character beyond ASCII take in JSON, where nothing is escaped."""
    if isinstance(value, str):
        return 0 if value.isascii() else len(value.encode())
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(non_ascii_bytes, inner))


UNESCAPED: Any = st.recursive(
    st.none() | (letters := st.text(st.sampled_from("ab{[,:éщ🦊"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4),
    max_leaves=20,
)


@given(value=UNESCAPED, spare=st.integers(-1, 1), window=st.integers(2, 9))
def test_exactly_the_bodies_with_too_long_strings_beyond_ascii_are_refused(
    value: Any, spare: int, window: int
) -> None:
    limit = non_ascii_bytes(value) + spare
    body = json.dumps(value, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "MAX_NON_ASCII_BYTES", limit)
        patch.setattr(json_size, "WINDOW", window)
        if spare < 0 and len(body) > limit:
            with pytest.raises(MessagesError, match=f"more than {limit} bytes of strings beyond ASCII"):
                check_json_size(body)
        else:
            check_json_size(body)


@pytest.mark.parametrize("escape", [b"\\u002B", b"\\u003c", b"\\u0041", b"\\\\u00e9", b"\\n"])
def test_escapes_of_ascii_are_ascii_wherever_a_window_ends(escape: bytes) -> None:
    check_json_size(b'["' + (b"A" * 60 + escape) * (MAX_NON_ASCII_BYTES // 60) + b'"]')


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("escape", [b"\\u00e9", b"\\\\\\u2014"])
def test_an_escape_counts_wherever_a_window_ends(
    monkeypatch: pytest.MonkeyPatch, before: int, escape: bytes
) -> None:
    monkeypatch.setattr(json_size, "WINDOW", 16)
    monkeypatch.setattr(json_size, "MAX_NON_ASCII_BYTES", 30)
    with pytest.raises(MessagesError, match="beyond ASCII"):
        check_json_size(b'["' + b"x" * (before + 8) + escape + b"x" * 40 + b'"]')


def test_a_body_of_quotation_marks_is_refused() -> None:
    with pytest.raises(MessagesError, match="more than 4000000 quotation marks"):
        check_json_size('"é'.encode() + b'"' * (MAX_NON_ASCII_BYTES + 1))


@pytest.mark.parametrize("character", ["é", "🦊", "\\ud83d", "\\u00e9"])
@pytest.mark.parametrize("strings", [1, 3])
def test_long_text_beyond_ascii_is_refused(character: str, strings: int) -> None:
    def body(size: int) -> bytes:
        text = (character.encode()).ljust(size, b"x")
        return b"[" + b",".join([b'"' + text + b'"'] * strings) + b"]"

    check_json_size(body(MAX_NON_ASCII_BYTES // strings))
    with pytest.raises(MessagesError, match="beyond ASCII") as refused:
        check_json_size(body(MAX_NON_ASCII_BYTES // strings + 1))
    assert refused.value.status == 413


def test_a_large_picture_beside_text_beyond_ascii_is_no_such_text() -> None:
    check_json_size(
        '{"a":"é\\u00e9","data":"'.encode() + b"A" * (2 * MAX_NON_ASCII_BYTES) + '","b":"é"}'.encode()
    )
