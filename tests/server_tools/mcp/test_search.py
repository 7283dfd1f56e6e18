"""Web search by a tool of an MCP server."""

import json
from typing import Any

import pytest
from mcp_types import CallToolResult

from support.loopback import HOST, free_port
from support.mcp_server import FOUND, McpSite
from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
from vllm_messages_plugin.server_tools.mcp.search import McpSearch, hits_of
from vllm_messages_plugin.server_tools.mcp.sessions import sessions_ended
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchHit, SearchQuery, run_search
from vllm_messages_plugin.server_tools.search_backends import http_client, search_backend

HITS = [SearchHit(row["url"], row["title"], row["content"]) for row in FOUND]
LABELLED = """\
Title: Guide
URL: https://docs.example.com/guide
Description: Run pip install.

Title: Release notes
URL: https://blog.example.org/release
Description: Version 2 is out.
"""
MARKDOWN = """\
## Results
1. **Title:** Guide
   **URL:** https://docs.example.com/guide
   **Snippet:** Run pip install.
2. **Title:** Release notes
   **URL:** https://blog.example.org/release
   **Snippet:** Version 2 is out.
"""
LINKS = """\
- [Guide](https://docs.example.com/guide) Run pip install.
- [Release notes](https://blog.example.org/release) Version 2 is out.
"""


def result(*texts: str, structured: Any = None, is_error: bool = False) -> CallToolResult:
    content = [{"type": "text", "text": text} for text in texts]
    return CallToolResult.model_validate(
        {"content": content, "structuredContent": structured, "isError": is_error}
    )


ROWS = [{"link": row["url"], "name": row["title"], "snippet": row["content"]} for row in FOUND]


@pytest.mark.parametrize(
    "found",
    [
        result(structured={"result": FOUND}),
        result(structured={"results": FOUND}),
        result(structured={"web": {"results": ROWS}}),
        result(structured={"result": json.dumps({"results": FOUND})}),
        result(json.dumps(FOUND)),
        result(json.dumps({"organic": ROWS})),
        result(*(json.dumps(row) for row in FOUND)),
        result(LABELLED),
        result(MARKDOWN),
    ],
)
def test_results_are_read_in_the_forms_that_servers_give(found: CallToolResult) -> None:
    assert [(hit.url, hit.title, hit.text) for hit in hits_of(found)] == [
        (hit.url, hit.title, hit.text) for hit in HITS
    ]


def test_markdown_links_are_results_with_the_text_behind_them() -> None:
    first, second = hits_of(result(LINKS))
    assert (first.url, first.title) == (HITS[0].url, HITS[0].title)
    assert first.text.startswith(HITS[0].text)
    assert second.text == HITS[1].text


def test_text_of_several_lines_stays_together_and_dates_are_kept() -> None:
    (hit,) = hits_of(result("Title: A\nURL: https://a.example\nPublished: 2026-11-20\nText: one\ntwo"))
    assert hit == SearchHit("https://a.example", "A", "one\ntwo", "2026-11-20")


@pytest.mark.parametrize(
    "found",
    [
        result("Nothing was found."),
        result("[]"),
        result(structured={"results": []}),
        result(structured={"results": [{"url": "ftp://a"}, 7, {"title": "x"}]}),
        result(structured={"web": {"web": {"web": {"web": {"web": {"web": {"web": FOUND}}}}}}}),
        result(),
    ],
)
def test_what_has_no_url_gives_no_result(found: CallToolResult) -> None:
    assert hits_of(found) == []


def test_a_page_that_is_named_twice_is_one_result() -> None:
    assert len(hits_of(result(structured=[FOUND[0], FOUND[0], FOUND[1]]))) == 2


def backend(site: McpSite, tool: str = "find") -> McpSearch:
    return McpSearch(operator_tool(f"mcp:{site.url}#{tool}", "VLLM_MESSAGES_SEARCH", ""))


async def test_the_setting_searches_by_the_tool(site: McpSite) -> None:
    async with http_client() as client:
        named = search_backend(f"mcp:{site.url}#find", "", client)
        hits = await run_search(named, SearchQuery("pip", allowed_domains=["docs.example.com"]))
    assert [hit.url for hit in hits] == [HITS[0].url]
    assert site.calls == [("find", {"query": "pip (site:docs.example.com)"})]
    await sessions_ended()


async def test_the_key_is_the_bearer_token(site: McpSite) -> None:
    site.token = "the-key"
    async with http_client() as client:
        assert (
            await search_backend(f"mcp:{site.url}#find", "the-key", client).search(SearchQuery("pip")) == HITS
        )
    await sessions_ended()


@pytest.mark.parametrize(
    ("tool", "reason"),
    [("absent", "has no tool"), ("count", "takes no query"), ("fail", "takes no query")],
)
async def test_a_tool_that_can_not_search_is_unavailable(tool: str, reason: str, site: McpSite) -> None:
    with pytest.raises(SearchFailedError, match=reason) as failed:
        await backend(site, tool).search(SearchQuery("pip"))
    assert failed.value.code == "unavailable"


async def test_a_result_without_results_is_empty(site: McpSite) -> None:
    assert await backend(site, "weather").search(SearchQuery("Oslo")) == []
    await sessions_ended()


async def test_a_server_that_is_down_is_unavailable(site: McpSite) -> None:
    dead = operator_tool(f"mcp:http://{HOST}:{free_port()}/mcp#find", "VLLM_MESSAGES_SEARCH", "")
    with pytest.raises(SearchFailedError, match="the connection failed"):
        await McpSearch(dead).search(SearchQuery("pip"))


async def test_a_setting_without_a_tool_is_refused() -> None:
    async with http_client() as client:
        with pytest.raises(ValueError, match=r"VLLM_MESSAGES_SEARCH: .*mcp:URL#TOOL"):
            search_backend("mcp:http://a.lan/mcp", "", client)
