"""Decodes and encodes contents of many MB piece by piece.

Python's own functions do each in one call that holds the interpreter's lock: no other request is served
meanwhile, not even while the call runs in a thread. A percent-encoded text of 29 MB takes them half a minute.
"""

import binascii
import codecs
import string
import urllib.parse
from collections.abc import Iterator
from typing import Final

WINDOW: Final = 3 << 16
"""Bytes or characters that are decoded or encoded in one call; a multiple of 3 and of 4."""
ESCAPES_WINDOW: Final = 1 << 14
"""Characters of a percent-encoded text that are decoded in one call; an escape takes about a microsecond."""
MAX_PERCENT_ESCAPES: Final = 1_000_000

_WHITE_SPACE: Final = string.whitespace.encode()


def decode_base64(text: str, *, white_space: bool = False) -> bytes:
    """Decode base64.

    Args:
        text: The base64 text, with its padding.
        white_space: Whether white space in it is skipped, such as the line ends that some encoders write.

    Raises:
        ValueError: The text is not base64.
    """
    pieces: list[bytes] = []
    rest = b""
    for start in range(0, len(text), WINDOW):
        window = text[start : start + WINDOW].encode("ascii")
        rest += window.translate(None, _WHITE_SPACE) if white_space else window
        if len(rest) > 4:  # the last four characters stay, because only they may have padding
            whole = (len(rest) - 1) // 4 * 4
            pieces.append(_without_padding(rest[:whole]))
            rest = rest[whole:]
    return b"".join([*pieces, binascii.a2b_base64(rest, strict_mode=True)])


def _without_padding(text: bytes) -> bytes:
    if text.endswith(b"="):
        raise binascii.Error("Excess data after padding")
    return binascii.a2b_base64(text, strict_mode=True)


def encode_base64(data: bytes) -> str:
    """Encode bytes as base64, with padding and without line ends."""
    starts = range(0, len(data), WINDOW)
    return "".join(binascii.b2a_base64(data[at : at + WINDOW], newline=False).decode() for at in starts)


def decode_percent(text: str) -> bytes:
    """Decode percent-encoded text (RFC 3986); a `%` that begins no escape stands for itself.

    Raises:
        ValueError: The text has more than MAX_PERCENT_ESCAPES of them.
    """
    escapes = 0
    pieces: list[bytes] = []
    for window in _whole_escapes(text):
        escapes += window.count("%")
        if escapes > MAX_PERCENT_ESCAPES:
            raise ValueError(f"more than {MAX_PERCENT_ESCAPES} escapes")
        pieces.append(urllib.parse.unquote_to_bytes(window))
    return b"".join(pieces)


def _whole_escapes(text: str) -> Iterator[str]:
    """The text in pieces, none of which ends within an escape."""
    start = 0
    while start < len(text):
        end = start + ESCAPES_WINDOW
        if end < len(text) and (cut := text.rfind("%", end - 2, end)) > start:
            end = cut
        yield text[start:end]
        start = end


def decode_text(data: bytes, charset: str) -> str:
    """Decode text; what is no text in this charset becomes U+FFFD.

    Args:
        data: The text's bytes.
        charset: A name that Python's `codecs` knows.
    """
    decoder = codecs.getincrementaldecoder(charset)("replace")
    pieces = [decoder.decode(data[at : at + WINDOW]) for at in range(0, len(data), WINDOW)]
    return "".join([*pieces, decoder.decode(b"", final=True)])
