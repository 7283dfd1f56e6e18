"""Web search by a tool of an MCP server, as a search service.

Servers have no common form for results. Understood are: a structured value or JSON text with rows that have a
URL; text with labelled lines (`Title:`, `URL:`, `Description:`); and text with Markdown links.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import CallToolResult

from vllm_messages_plugin.server_tools.mcp.operator_tool import OperatorTool, text_argument
from vllm_messages_plugin.server_tools.mcp.results import texts_of
from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError
from vllm_messages_plugin.server_tools.search import (
    MAX_TEXT_CHARACTERS,
    SearchFailedError,
    SearchHit,
    SearchQuery,
    query_with_sites,
)

SECONDS: Final = 30.0
QUERY_ARGUMENTS: Final = ("query", "q", "search_query", "search", "text", "keywords")
ROWS: Final = ("results", "items", "organic", "hits", "data", "web")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("url", "link", "href", "source"),
    "title": ("title", "name"),
    "text": ("content", "text", "snippet", "description", "summary", "body"),
    "date": ("page_age", "publishedDate", "published_date", "published", "date"),
}
"""The names under which servers give the parts of a result."""

_LABEL: Final = re.compile(
    r"(title|name|url|link|description|snippet|content|text|summary|published|date)\*{0,2} ?:\*{0,2} ?(.*)",
    re.IGNORECASE,
)
_BEFORE_LABELS: Final = " \t-*#.0123456789"
_LINK: Final = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^\s()<>]{1,2000})\)")


@dataclass(frozen=True, slots=True)
class McpSearch:
    """Searches by a tool of an MCP server.

    Attributes:
        tool: The tool.
    """

    tool: OperatorTool
    name: str = "mcp"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        """Search once.

        Raises:
            SearchFailedError: The server fails, the tool takes no query, or its result has no URLs.
        """
        try:
            argument = text_argument(await self.tool.definition(), QUERY_ARGUMENTS)
            if argument is None:
                raise SearchFailedError("unavailable", f"the tool {self.tool.name!r} takes no query")
            result = await self.tool.call({argument: query_with_sites(query)}, SECONDS)
        except McpFailedError as error:
            raise SearchFailedError("unavailable", f"{self.tool.server.log_name}: {error}") from error
        texts = list(texts_of(result))
        if result.is_error:
            raise SearchFailedError("unavailable", f"the tool failed: {' '.join(texts)[:500]}")
        hits = hits_of(result)
        if not hits and any("://" in text for text in texts):
            raise SearchFailedError("unavailable", "the tool's result has no URLs that can be read")
        return hits


def hits_of(result: CallToolResult) -> list[SearchHit]:
    """The results in a tool's result, each URL once."""
    found = list(_hits_in(result.structured_content))
    if not found:
        found = [hit for text in texts_of(result) for hit in _hits_in_text(text)]
    return list({hit.url: hit for hit in reversed(found)}.values())[::-1]


def _hits_in(value: Any, depth: int = 0) -> Iterator[SearchHit]:
    """The results in a JSON value: rows with a URL, at most a few levels deep."""
    if isinstance(value, list) and depth < len(ROWS):
        for row in value:
            yield from _hits_in(row, depth + 1)
    elif isinstance(value, Mapping) and (url := _field(value, "url")).startswith(("http://", "https://")):
        text = _field(value, "text")[:MAX_TEXT_CHARACTERS]
        yield SearchHit(url, _field(value, "title") or url, text, _field(value, "date") or None)
    elif isinstance(value, Mapping) and depth < len(ROWS):
        for name in (*ROWS, "result"):
            yield from _hits_in(value.get(name), depth + 1)
    elif isinstance(value, str) and depth == 1:
        yield from _hits_in_text(value)


def _field(row: Mapping[str, Any], part: str) -> str:
    return next((row[name] for name in FIELDS[part] if isinstance(row.get(name), str) and row[name]), "")


def _hits_in_text(text: str) -> Iterator[SearchHit]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list | Mapping):
        yield from _hits_in(value)
        return
    labelled = list(_labelled(text))
    yield from labelled or _linked(text)


def _labelled(text: str) -> Iterator[SearchHit]:
    """The results in labelled lines; a label that repeats begins the next result."""
    rows: list[dict[str, str]] = [{}]
    last = ""
    for line in text.splitlines():
        found = _LABEL.match(line.lstrip(_BEFORE_LABELS))
        if found is None:
            if last in FIELDS["text"] and len(rows[-1][last]) < MAX_TEXT_CHARACTERS:
                rows[-1][last] += f"\n{line}"
            continue
        label = found[1].lower()
        if label in rows[-1] or (label == "title" and "url" in rows[-1]):
            rows.append({})
        rows[-1][label] = found[2].strip()
        last = label
    yield from _hits_in([{label: value.strip() for label, value in row.items()} for row in rows])


def _linked(text: str) -> Iterator[SearchHit]:
    """The results in Markdown links, each with the text up to the next one."""
    links = list(_LINK.finditer(text))
    ends = [link.start() for link in links] + [len(text)]
    for link, end in zip(links, ends[1:], strict=True):
        yield SearchHit(link[2], link[1], text[link.end() : end].strip()[:MAX_TEXT_CHARACTERS])
