"""Web search: what a search asks for, what it finds, and how it fails.

A back end implements `SearchBackend`; `search_backends` has one for each service. Domain lists are
enforced here on every result, whether or not the service understands them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

SearchErrorCode = Literal["unavailable", "too_many_requests", "query_too_long", "invalid_tool_input"]

MAX_QUERY_CHARACTERS: Final = 2_000
MAX_RESULTS: Final = 10
MAX_TEXT_CHARACTERS: Final = 4_000  # of one result


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search.

    Attributes:
        text: What to search for.
        allowed_domains: Only results from these domains, their subdomains and paths; empty: any.
        blocked_domains: No results from these.
        country: Two-letter country code of the user, if the request gave one.
    """

    text: str
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    country: str | None = None


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One result: its address, its title, the text that the service quotes, and its date if known."""

    url: str
    title: str
    text: str = ""
    page_age: str | None = None


class SearchFailedError(Exception):
    """A search failed.

    Attributes:
        code: The `error_code` that the client reads in `web_search_tool_result_error`.
        reason: What happened, for the log of the server; it may name the back end.
    """

    def __init__(self, code: SearchErrorCode, reason: str) -> None:
        self.code: SearchErrorCode = code
        self.reason = reason
        super().__init__(reason)


class SearchBackend(Protocol):
    """A search service."""

    @property
    def name(self) -> str:
        """The name by which settings and log lines know the service."""
        ...

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        """Search once.

        Raises:
            SearchFailedError: The service is down, slow, overloaded or answered something unreadable.
        """
        ...


async def run_search(backend: SearchBackend, query: SearchQuery) -> list[SearchHit]:
    """Search, and keep the results that the domain lists allow, at most `MAX_RESULTS`.

    Raises:
        SearchFailedError: The query is empty or too long, or the back end failed.
    """
    if not query.text.strip():
        raise SearchFailedError("invalid_tool_input", "the query is empty")
    if len(query.text) > MAX_QUERY_CHARACTERS:
        raise SearchFailedError("query_too_long", f"a query of {len(query.text)} characters")
    hits = await backend.search(query)
    return [hit for hit in hits if is_allowed(hit.url, query.allowed_domains, query.blocked_domains)][
        :MAX_RESULTS
    ]


def is_allowed(url: str, allowed: Sequence[str], blocked: Sequence[str]) -> bool:
    """Whether a URL is http(s) and its domain passes both lists; unreadable URLs do not."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    if any(_matches(host, parts.path, domain) for domain in blocked):
        return False
    return not allowed or any(_matches(host, parts.path, domain) for domain in allowed)


def _matches(host: str, path: str, domain: str) -> bool:
    """Whether a domain of a list (`example.com`, `example.com/docs`) covers a host and path."""
    name, _, prefix = domain.lower().removeprefix("https://").removeprefix("http://").partition("/")
    name = name.rstrip(".").removeprefix("*.")
    if host != name and not host.endswith(f".{name}"):
        return False
    prefix = prefix.rstrip("/*")
    return not prefix or path.lower().strip("/") == prefix or path.lower().startswith(f"/{prefix}/")


def hit_of(row: Any, *, url: str, title: str, text: str, date: str) -> SearchHit | None:
    """A row of a service's answer as a hit, by the names of its fields; None without a URL."""
    if not isinstance(row, dict) or not isinstance(row.get(url), str):
        return None
    age = row.get(date)
    return SearchHit(
        row[url],
        str(row.get(title) or row[url]),
        str(row.get(text) or "")[:MAX_TEXT_CHARACTERS],
        age if isinstance(age, str) and age else None,
    )


def query_with_sites(query: SearchQuery) -> str:
    """The query with its domains as `site:` operators, for services that have no field for them."""
    only = " OR ".join(f"site:{domain}" for domain in query.allowed_domains)
    without = "".join(f" -site:{domain}" for domain in query.blocked_domains)
    return f"{query.text} ({only})" if only else query.text + without
