"""JSON text with halves of surrogate pairs is read, and no other text is searched for them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vllm_messages_plugin.wire import json_reading
from vllm_messages_plugin.wire.json_reading import read_json, replace_lone_surrogates

HIGH, LOW = "\\ud83d", "\\ude00"

PIECES = (
    HIGH,
    LOW,
    HIGH.upper().replace("U", "u"),
    "\\\\",
    "\\n",
    "\\u00e9",
    "ud83d",
    "a",
    "\ud83d",
    "\ud7ff",
)


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.integers(1, 30))
@example(HIGH + LOW, 1)
@example("a" + HIGH + LOW, 8)
@example("\\\\" + HIGH, 1)
def test_surrogates_are_replaced_wherever_the_searched_windows_end(text: str, window: int) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    whole = replace_lone_surrogates(encoded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reading, "_WINDOW", window)
        assert replace_lone_surrogates(encoded) == whole


@pytest.mark.parametrize("half", [HIGH, LOW, HIGH.upper().replace("U", "u"), "\ud83d"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"{}"', "\ufffd"),
        ('{{"{}": 1}}', {"\ufffd": 1}),
        ('[{{"a": [{{"b{}c": ["{}d"]}}]}}]', [{"a": [{"b\ufffdc": ["\ufffdd"]}]}]),
        (
            '["{}", "\\ud83d\\ude00", "\\\\ud83d", "\U0001f600"]',
            ["\ufffd", "\U0001f600", "\\ud83d", "\U0001f600"],
        ),
    ],
)
def test_half_a_pair_is_read_wherever_it_stands(half: str, text: str, value: Any) -> None:
    written = text.format(*[half] * text.count("{}"))
    assert read_json(written.encode("utf-8", "surrogatepass")) == value


@given(st.text(st.sampled_from("a\\u\ud83d\ude00\ud7ff\u00e9\n")))
def test_only_halves_of_pairs_are_changed(text: str) -> None:
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert read_json(json.dumps([text]).encode()) == [expected]


def test_a_text_without_halves_is_returned_as_it_is() -> None:
    text = json.dumps(["\U0001f600", "\\ud83d", "\ud7ff"]).encode()
    assert replace_lone_surrogates(text) is text


def test_the_error_is_that_of_the_text_without_halves() -> None:
    with pytest.raises(ValueError, match="line 1 column 12"):
        read_json(f'["{HIGH}", a]'.encode())


def test_only_invalid_json_is_searched_for_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(_: bytes) -> bytes:
        raise AssertionError("searched")

    monkeypatch.setattr(json_reading, "replace_lone_surrogates", search)
    assert read_json(b'{"a": "b"}') == {"a": "b"}
