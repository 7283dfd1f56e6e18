"""Lists of files and of batches: which page is asked for, how it is written, and the times in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of a list is requested: at most `limit` entries behind or before the entry of an id."""

    limit: int = 20
    after_id: str | None = None
    before_id: str | None = None


def timestamp(seconds: float) -> str:
    """Return Unix seconds as an RFC 3339 time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def id_page(entries: Sequence[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """Return a page that is continued by `after_id` or `before_id`."""
    return {
        "data": list(entries),
        "has_more": has_more,
        "first_id": entries[0]["id"] if entries else None,
        "last_id": entries[-1]["id"] if entries else None,
    }


def cursor_page(entries: Sequence[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """Return a page that is continued by `page`."""
    last = entries[-1]["id"] if entries and has_more else None
    return {"data": list(entries), "next_page": None if last is None else f"page_{last}"}
