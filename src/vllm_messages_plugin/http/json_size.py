"""Bounds how many values a JSON body may hold, before it is parsed.

The parser builds a body's values in one call that holds the interpreter's lock: no other request is served
meanwhile, not even while it runs in a thread. Its time follows the number of values and not of bytes: 30 MB
can be one picture, parsed in milliseconds, or ten million empty objects, which take seconds.

So the punctuation that separates values is counted first. The count over the whole body settles nearly all
bodies, and where it exceeds a limit, the count without the contents of strings decides. For that, a window of
the body loses its escaped quotes and is split at the others: every second piece is outside of strings.

Text beyond ASCII takes long as well, however few its values are. Pictures and documents in base64, of which
large bodies are made, are ASCII.
"""

import re
from collections.abc import Iterator

from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.field_sizes import MAX_NON_ASCII_BYTES

MAX_OBJECTS = 100_000
"""Anthropic's API takes as many messages, each of which is an object."""
MAX_VALUES = 500_000
MAX_EXCESS_KEYS = 50_000
"""Keys beyond USUAL_KEYS for each object. No other value takes as long to build as an object of many keys."""
USUAL_KEYS = 8
MAX_ESCAPES = 4_000_000
"""Backslashes. The parser copies a string piece by piece between its escapes; so many take it about 50 ms."""
WINDOW = 1 << 18
"""Bytes that are searched in one call, so that other threads get their turn."""

MAX_QUOTES = 4_000_000
"""More than the strings of MAX_VALUES values and of their keys have."""

_LONGEST_ESCAPE = len(b"\\u0000")
_ESCAPED_NON_ASCII = re.compile(rb"\\u(?!00[0-7])")
_PUNCTUATION = (b"{", b"[", b",", b":")


def check_json_size(body: bytes) -> int:
    """Refuse a body with too many JSON values. The time is linear in its length.

    Returns:
        The number of objects, or more where strings contain braces.

    Raises:
        MessagesError: 413, the body has more than MAX_OBJECTS objects, MAX_VALUES values, MAX_EXCESS_KEYS,
            MAX_ESCAPES or MAX_NON_ASCII_BYTES.
    """
    if len(body) > MAX_ESCAPES and sum(window.count(b"\\") for window in _windows(body)) > MAX_ESCAPES:
        raise _too_much(f"{MAX_ESCAPES} escapes")
    objects, limit = _count(_windows(body))
    if limit is not None:
        objects, limit = _count(_outside_strings(body))
    if limit is not None:
        raise _too_much(limit)
    if len(body) > MAX_NON_ASCII_BYTES and _non_ascii_bytes(body) > MAX_NON_ASCII_BYTES:
        raise _too_much(f"{MAX_NON_ASCII_BYTES} bytes of strings beyond ASCII")
    return objects


def _too_much(limit: str) -> MessagesError:
    return MessagesError("request_too_large", f"Request has more than {limit} in its JSON")


def _count(parts: Iterator[bytes]) -> tuple[int, str | None]:
    """The objects in some parts of a body, and the limit that they or its values exceed, if any."""
    objects = values = keys = 0
    for part in parts:
        more_objects, arrays, commas, colons = map(part.count, _PUNCTUATION)
        objects += more_objects
        values += more_objects + arrays + commas
        keys += colons
        if objects > MAX_OBJECTS:
            return objects, f"{MAX_OBJECTS} objects"
        if values > MAX_VALUES:
            return objects, f"{MAX_VALUES} values"
    if keys > MAX_EXCESS_KEYS + USUAL_KEYS * objects:
        return objects, f"{MAX_EXCESS_KEYS} keys beyond {USUAL_KEYS} for each object"
    return objects, None


def _windows(body: bytes) -> Iterator[bytes]:
    """The body in pieces, none of which ends within an escape unless it consists of nothing else."""
    start = 0
    while start < len(body):
        window = body[start : start + WINDOW]
        if start + len(window) < len(body):
            window = _without_cut_escape(window) or window
        start += len(window)
        yield window


def _without_cut_escape(window: bytes) -> bytes:
    """A piece without an escape at its end that may go on behind it."""
    place = window.rfind(b"\\", -_LONGEST_ESCAPE + 1)
    if place < 0:
        return window
    before = window[: place + 1]
    escapes = (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
    is_whole = place + 1 < len(window) and window[place + 1 : place + 2] != b"u"
    return window[:place] if escapes and not is_whole else window


def _split_at_quotes(body: bytes) -> Iterator[tuple[bool, list[bytes]]]:
    """The pieces between the quotes of each window, without escaped quotes and backslashes.

    They are in turn outside of strings and inside; with them comes whether the first one is inside.
    """
    in_string = False
    for window in _windows(body):
        pieces = window.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield in_string, pieces
        in_string ^= len(pieces) % 2 == 0


def _outside_strings(body: bytes) -> Iterator[bytes]:
    for in_string, pieces in _split_at_quotes(body):
        yield b"".join(pieces[in_string::2])


def _non_ascii_bytes(body: bytes) -> int:
    """The bytes of all strings that have a character beyond ASCII, or an escape that stands for one.

    Raises:
        MessagesError: 413, the body has more than MAX_QUOTES.
    """
    if not any(map(_has_non_ascii, _windows(body))):
        return 0
    total = length = quotes = 0
    found = False
    for in_string, pieces in _split_at_quotes(body):
        quotes += len(pieces) - 1
        if quotes > MAX_QUOTES:
            raise _too_much(f"{MAX_QUOTES} quotation marks")
        for number, piece in enumerate(pieces):
            if number:  # a quote began or ended a string
                total += length * found
                length, found = 0, False
            if in_string ^ number % 2:
                length += len(piece)
                found = found or _has_non_ascii(piece)
    return total + length * found


def _has_non_ascii(text: bytes) -> bool:
    return not text.isascii() or _ESCAPED_NON_ASCII.search(text) is not None
