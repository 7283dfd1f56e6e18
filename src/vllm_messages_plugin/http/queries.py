"""The query parameters of lists: which page a client asks for."""

from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.pages import PageQuery

DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 1000


def page_query(query: Mapping[str, str]) -> PageQuery:
    """Return the page that `limit`, `after_id`, `before_id` and `page` name.

    Raises:
        MessagesError: 400, a parameter is malformed, or two of them contradict each other.
    """
    after, before, cursor = query.get("after_id"), query.get("before_id"), query.get("page")
    if cursor is not None:
        if not cursor.startswith("page_"):
            raise invalid("Input should be a `next_page` of an earlier response", "page")
        after = cursor.removeprefix("page_")
    if after is not None and before is not None:
        raise invalid("Only one of `after_id` and `before_id` may be given", "before_id")
    return PageQuery(_limit(query.get("limit")), after, before)


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_PAGE_SIZE
    if not (given.isascii() and given.isdecimal() and len(given) <= 4 and 1 <= int(given) <= MAX_PAGE_SIZE):
        raise invalid(f"Input should be a whole number from 1 to {MAX_PAGE_SIZE}", "limit")
    return int(given)
