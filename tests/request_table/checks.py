"""Assertions and parametrisation shared by the tests of the table."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from request_table.row import Row


def table(rows: Sequence[Row]) -> Any:
    """The rows as a test's parameter."""
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def assert_in_order(prompt: str, words: Sequence[str]) -> None:
    at = 0
    for each in words:
        found = prompt.find(each, at)
        assert found >= 0, f"{each!r} is not there, or not in its place:\n{prompt}"
        at = found + len(each)


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of an object's fields, list places left out, and `type=NAME` for its types."""
    if isinstance(value, list):
        for each in value:
            yield from leaves(each, path)
    elif isinstance(value, dict):
        for key, each in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner
            if key == "type" and isinstance(each, str):
                yield f"type={each}"
            yield from leaves(each, inner)
