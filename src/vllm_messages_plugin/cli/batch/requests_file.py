"""Reads a file of requests as the body of a new batch."""

import json
from pathlib import Path
from typing import Any, Final

FIELDS: Final = frozenset({"custom_id", "params"})


class RequestsFileError(ValueError):
    """The file has no requests that a batch can take; the text names the line."""


def read_body(path: Path) -> tuple[bytes, int]:
    """Return the body of a batch from a file, and how many requests it has.

    Args:
        path: A file with a request in each line, or with one object that has `requests`.

    Raises:
        RequestsFileError: A line is no request.
        OSError: The file can't be read.
    """
    text = path.read_bytes()
    whole = _object(text)
    if whole is not None and isinstance(whole.get("requests"), list):
        return text, len(whole["requests"])
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line:
            _check(line, f"{path}:{number}")
    requests = [line for line in lines if line]
    if not requests:
        raise RequestsFileError(f"{path} has no requests")
    return b'{"requests":[' + b",".join(requests) + b"]}", len(requests)


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _check(line: bytes, place: str) -> None:
    value = _object(line)
    if value is None:
        raise RequestsFileError(f"{place}: this line is no JSON object")
    if missing := sorted(FIELDS - value.keys()):
        raise RequestsFileError(f"{place}: the request has no {missing[0]}")
