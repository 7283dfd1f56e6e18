"""Search services, each as a `SearchBackend` on httpx.

The operator names one with `VLLM_MESSAGES_SEARCH`: `searxng:http://search:8080`, `brave`, `tavily`,
`exa`; a URL behind the name replaces the public address of the service. `mcp:URL#TOOL` names a tool of an MCP
server instead. Keys come from the environment
of the server and are sent to that service alone. Clients can name neither.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from vllm_messages_plugin.server_tools.search import (
    MAX_RESULTS,
    SearchBackend,
    SearchFailedError,
    SearchHit,
    SearchQuery,
    hit_of,
    query_with_sites,
)

TIMEOUT_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
PUBLIC_URLS: Final[Mapping[str, str]] = {
    "brave": "https://api.search.brave.com",
    "tavily": "https://api.tavily.com",
    "exa": "https://api.exa.ai",
}
JSON_DISABLED: Final = (
    "SearXNG answers 403: its settings.yml must list json under search.formats (formats: [html, json])"
)


def http_client() -> httpx.AsyncClient:
    """The client that back ends share: bounded in time, following no redirects."""
    return httpx.AsyncClient(timeout=TIMEOUT_SECONDS, headers={"accept": "application/json"})


@dataclass(frozen=True, slots=True)
class _Service:
    """What every service has: its address, its key, the shared client."""

    base_url: str
    key: str = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)

    async def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Ask the service and read its JSON.

        Raises:
            SearchFailedError: There is no answer, or none that can be used.
        """
        url = self.base_url.rstrip("/") + path
        try:
            async with self.client.stream(method, url, **arguments) as response:
                body = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SearchFailedError("unavailable", f"{type(error).__name__}: {error}") from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise SearchFailedError("too_many_requests", f"{url} answers 429")
        if response.status_code != httpx.codes.OK:
            raise SearchFailedError("unavailable", self._refused(response.status_code))
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise SearchFailedError("unavailable", f"{url} does not answer in JSON") from error

    def _refused(self, status: int) -> str:
        return f"{self.base_url} answers {status}"


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise SearchFailedError("unavailable", f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _rows(answer: Any, *path: str) -> Sequence[Any]:
    """The list at a path of an answer.

    Raises:
        SearchFailedError: There is none.
    """
    for key in path:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, list):
        raise SearchFailedError("unavailable", f"the answer has no list {'.'.join(path)}")
    return answer


def _hits(rows: Sequence[Any], *, title: str, text: str, date: str) -> list[SearchHit]:
    found = (hit_of(row, url="url", title=title, text=text, date=date) for row in rows)
    return [hit for hit in found if hit is not None]


class SearXNG(_Service):
    """SearXNG, asked through its JSON format, which an instance must allow in its settings."""

    name = "searxng"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        parameters = {"q": query_with_sites(query), "format": "json"}
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        answer = await self._ask("GET", "/search", params=parameters, headers=headers)
        return _hits(_rows(answer, "results"), title="title", text="content", date="publishedDate")

    def _refused(self, status: int) -> str:
        return JSON_DISABLED if status == httpx.codes.FORBIDDEN else _Service._refused(self, status)


class Brave(_Service):
    """The Brave Search API."""

    name = "brave"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        parameters = {"q": query_with_sites(query), "count": str(MAX_RESULTS)}
        if query.country:
            parameters["country"] = query.country
        headers = {"x-subscription-token": self.key}
        answer = await self._ask("GET", "/res/v1/web/search", params=parameters, headers=headers)
        rows = _rows(answer, "web", "results") if isinstance(answer, dict) and answer.get("web") else []
        return _hits(rows, title="title", text="description", date="page_age")


class Tavily(_Service):
    """The Tavily search API."""

    name = "tavily"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        body = {
            "query": query.text,
            "max_results": MAX_RESULTS,
            "include_domains": list(query.allowed_domains),
            "exclude_domains": list(query.blocked_domains),
        }
        headers = {"authorization": f"Bearer {self.key}"}
        answer = await self._ask("POST", "/search", json=body, headers=headers)
        return _hits(_rows(answer, "results"), title="title", text="content", date="published_date")


class Exa(_Service):
    """The Exa search API."""

    name = "exa"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        body: dict[str, Any] = {
            "query": query.text,
            "numResults": MAX_RESULTS,
            "contents": {"text": {"maxCharacters": 1_000}},
        }
        if query.allowed_domains:
            body["includeDomains"] = list(query.allowed_domains)
        if query.blocked_domains:
            body["excludeDomains"] = list(query.blocked_domains)
        if query.country:
            body["userLocation"] = query.country
        answer = await self._ask("POST", "/search", json=body, headers={"x-api-key": self.key})
        return _hits(_rows(answer, "results"), title="title", text="text", date="publishedDate")


SERVICES: Final[Mapping[str, type[SearXNG | Brave | Tavily | Exa]]] = {
    service.name: service for service in (SearXNG, Brave, Tavily, Exa)
}
NEEDS_KEY: Final = frozenset(PUBLIC_URLS)


def search_backend(setting: str, key: str, client: httpx.AsyncClient) -> SearchBackend:
    """The back end that `VLLM_MESSAGES_SEARCH` names.

    Args:
        setting: `NAME`, `NAME:URL` or `mcp:URL#TOOL`.
        key: The key of `VLLM_MESSAGES_SEARCH_KEY`; empty for none.
        client: The HTTP client to use.

    Raises:
        ValueError: The setting names no service, or an address or key is missing.
    """
    if setting.strip().startswith("mcp:"):
        return _mcp_search(setting, key)
    name, _, url = setting.strip().partition(":")
    service = SERVICES.get(name.strip().lower())
    if service is None:
        known = ", ".join((*SERVICES, "mcp"))
        raise ValueError(f"VLLM_MESSAGES_SEARCH: unknown service {name!r}; known are {known}")
    base_url = url.strip() or PUBLIC_URLS.get(service.name, "")
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"VLLM_MESSAGES_SEARCH: {service.name} needs an address, {service.name}:http://HOST")
    if service.name in NEEDS_KEY and not key:
        raise ValueError(f"VLLM_MESSAGES_SEARCH_KEY: {service.name} needs a key")
    return service(base_url, key, client)


def _mcp_search(setting: str, key: str) -> SearchBackend:
    # Not at the top: the package is optional, and importing it takes a second or two.
    try:
        from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
        from vllm_messages_plugin.server_tools.mcp.search import McpSearch
    except ImportError as error:
        message = "VLLM_MESSAGES_SEARCH: mcp needs `pip install 'vllm-messages-plugin[mcp]'`"
        raise ValueError(message) from error
    return McpSearch(operator_tool(setting, "VLLM_MESSAGES_SEARCH", key))
