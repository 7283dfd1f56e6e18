"""The `web_search` tool: its function for the model, its settings in a request, and its results."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult
from vllm_messages_plugin.server_tools.search import (
    SearchBackend,
    SearchErrorCode,
    SearchFailedError,
    SearchHit,
    SearchQuery,
    run_search,
)
from vllm_messages_plugin.wire.blocks import CitationsConfigParam, TextBlockParam, WebResultBlockParam

log = logging.getLogger("vllm.messages")

NAME: Final = "web_search"
RESULT_TYPE: Final = "web_search_tool_result"
COUNTED_AS: Final = "web_search_requests"
FAILED: Final[Mapping[str, str]] = {
    "unavailable": "The web search is not available right now.",
    "too_many_requests": "The web search has had too many requests; try again later.",
    "query_too_long": "The query is too long; use a shorter one.",
    "invalid_tool_input": "The call has no usable `query`.",
    "max_uses_exceeded": "No further web search is allowed in this reply; answer with what is known.",
}


@dataclass(frozen=True, slots=True)
class WebSearch:
    """Runs the calls of `web_search` in one request.

    Attributes:
        backend: The search service that the operator named.
        seal: Encrypts the text of a result, so that a later request can bring it back.
        allowed_domains: The request's own list; empty: any.
        blocked_domains: The request's own list.
        country: The country of the request's `user_location`.
    """

    backend: SearchBackend
    seal: Callable[[str], str]
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    country: str | None = None

    async def run(self, call: ServerCall) -> ServerToolResult:
        """Search for the `query` of a call. A failure is a result as well."""
        query = (call.input or {}).get("query")
        if not isinstance(query, str):
            return failed("invalid_tool_input")
        return await self.search(query)

    async def search(self, text: str) -> ServerToolResult:
        """Search for a text. A failure is a result as well, and is logged."""
        query = SearchQuery(text, self.allowed_domains, self.blocked_domains, self.country)
        try:
            hits = await run_search(self.backend, query)
        except SearchFailedError as error:
            log.warning("A web search by %s failed (%s): %s", self.backend.name, error.code, error.reason)
            return failed(error.code)
        block = _block([self._result(hit) for hit in hits])
        return ServerToolResult(block, results_text(hits), COUNTED_AS)

    def _result(self, hit: SearchHit) -> dict[str, Any]:
        """A result as the wire has it (anthropic.types.WebSearchResultBlock)."""
        return {
            "type": "web_search_result",
            "url": hit.url,
            "title": hit.title,
            "encrypted_content": self.seal(hit.text),
            "page_age": hit.page_age,
        }


def _block(content: Any) -> dict[str, Any]:
    return {"type": RESULT_TYPE, "caller": {"type": "direct"}, "content": content}


def failed(code: SearchErrorCode | str) -> ServerToolResult:
    """The result of a search that failed or was refused."""
    block = _block({"type": f"{RESULT_TYPE}_error", "error_code": code})
    return ServerToolResult(block, FAILED.get(code, FAILED["unavailable"]))


def results_text(hits: Sequence[SearchHit]) -> str:
    """Results for the model: numbered, each with its title, address, date and text."""
    if not hits:
        return "No results were found."
    return "\n\n".join(_result_text(number, hit) for number, hit in enumerate(hits, 1))


def _result_text(number: int, hit: SearchHit) -> str:
    return "\n".join(part for part in (_heading(number, hit), hit.text) if part)


def _heading(number: int, hit: SearchHit) -> str:
    date = f" ({hit.page_age})" if hit.page_age else ""
    return "\n".join(part for part in (f"{number}. {hit.title}{date}", hit.url) if part)


def restored_content(
    content: Any, restore: Callable[[str], str | None]
) -> str | list[Mapping[str, Any] | WebResultBlockParam]:
    """What a model reads of a `web_search_tool_result`: a text, or its results, which it may cite.

    Args:
        content: The block's `content`: a list of results, or an error.
        restore: Decrypts what `WebSearch.seal` encrypted; None for a text that is not this server's.
    """
    if isinstance(content, Mapping):
        code = str(content.get("error_code"))
        return FAILED.get(code, FAILED["unavailable"])
    rows = [row for row in content if isinstance(row, Mapping)] if isinstance(content, list) else []
    hits = [_restored(row, restore) for row in rows]
    return [_citable(number, hit) for number, hit in enumerate(hits, 1)] or results_text([])


def _citable(number: int, hit: SearchHit) -> WebResultBlockParam:
    return WebResultBlockParam(
        type="search_result",
        source=hit.url,
        title=hit.title,
        content=[TextBlockParam(type="text", text=hit.text)],
        citations=CitationsConfigParam(enabled=True),
        heading=_heading(number, hit),
    )


def _restored(row: Mapping[str, Any], restore: Callable[[str], str | None]) -> SearchHit:
    sealed, age = row.get("encrypted_content"), row.get("page_age")
    text = restore(sealed) if isinstance(sealed, str) else None
    return SearchHit(
        str(row.get("url") or ""),
        str(row.get("title") or ""),
        text or "",
        age if isinstance(age, str) else None,
    )


def definition() -> dict[str, Any]:
    """What the model is shown of `web_search`."""
    return {
        "name": NAME,
        "description": "Search the web. Returns titles, addresses and excerpts of pages.",
        "input_schema": {
            "type": "object",
            "properties": {"query": {"type": "string", "description": "What to search for."}},
            "required": ["query"],
            "additionalProperties": False,
        },
    }
