"""Decoding piece by piece gives what Python's functions give for the whole, wherever the pieces end."""

import base64
import binascii
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.media import encodings
from vllm_messages_plugin.media.encodings import decode_base64, decode_percent, decode_text, encode_base64

WINDOWS = st.sampled_from([12, 24, 3 << 16])


@given(data=st.binary(max_size=100), window=WINDOWS)
def test_base64_there_and_back(data: bytes, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "WINDOW", window)
        assert encode_base64(data) == base64.b64encode(data).decode()
        assert decode_base64(encode_base64(data)) == data


@given(
    data=st.binary(max_size=100),
    window=WINDOWS,
    width=st.integers(1, 20),
    end=st.sampled_from(["\n", "\r\n", " "]),
)
def test_base64_in_lines(data: bytes, window: int, width: int, end: str) -> None:
    text = base64.b64encode(data).decode()
    lines = end.join(text[at : at + width] for at in range(0, len(text), width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "WINDOW", window)
        assert decode_base64(lines + end, white_space=True) == data
        with pytest.raises(binascii.Error):
            decode_base64(lines + end)


def decode_whole(text: str) -> bytes:
    if text.endswith("=") and len(text.rstrip("=")) % 4 == 0:
        raise ValueError("needless padding, which Python takes")
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def outcome(decode: Callable[[str], bytes], text: str) -> bytes | None:
    try:
        return decode(text)
    except ValueError:
        return None


@given(
    text=st.text(st.sampled_from("QUJD=\n-é"), max_size=60) | st.text(st.sampled_from("QU="), max_size=60),
    window=WINDOWS,
)
def test_text_that_may_not_be_base64(text: str, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "WINDOW", window)
        assert outcome(decode_base64, text) == outcome(decode_whole, text)


@given(text=st.text(st.sampled_from("%4aé 🦊"), max_size=60), window=st.integers(3, 9))
def test_percent_encoded_text(text: str, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "ESCAPES_WINDOW", window)
        assert decode_percent(text) == urllib.parse.unquote_to_bytes(text)


def test_a_text_with_too_many_escapes_is_refused() -> None:
    assert decode_percent("%41" * encodings.MAX_PERCENT_ESCAPES) == b"A" * encodings.MAX_PERCENT_ESCAPES
    with pytest.raises(ValueError, match="more than 1000000 escapes"):
        decode_percent("%41" * (encodings.MAX_PERCENT_ESCAPES + 1))


@pytest.mark.parametrize(
    "charset", ["utf-8-sig", "big5", "euc-jp", "euc-kr", "gb18030", "iso-8859-1", "shift_jis", "windows-1252"]
)
@given(data=st.binary(max_size=60) | st.text(max_size=20).map(str.encode), window=st.integers(1, 9))
def test_text_in_a_charset(charset: str, data: bytes, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "WINDOW", window)
        assert decode_text(data, charset) == data.decode(charset, "replace")
