"""The server tools of a request that is rendered without a server: offered, and never run."""

from collections.abc import Callable

from vllm_messages_plugin.server_tools.mcp.toolsets import toolsets, with_tools
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.page_text import Page, UnsupportedContentError
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchHit, SearchQuery
from vllm_messages_plugin.translate.server_tools import (
    McpNames,
    with_functions,
    with_mcp_names,
    with_separate_results,
)
from vllm_messages_plugin.translate.tools.offered_functions import deferred_functions
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import CountTokensRequest

NO_LISTING = "no MCP server is asked for its tools here; name them in the `tools` of its mcp_toolset"


class _NoSearch:
    """Stands for the search service of the server that the request was meant for."""

    name = "none"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        raise SearchFailedError("unavailable", f"no service is asked for {query.text!r}")


class _NoFetcher:
    """Stands for what fetches pages on that server."""

    max_content_tokens = 0

    async def fetch(self, url: str, permits: Callable[[str], bool]) -> Page:  # noqa: ARG002
        raise UnsupportedContentError(f"{url!r} is not fetched offline")


def with_server_tools(request: CountTokensRequest) -> CountTokensRequest:
    """Return the request with its server tools as functions, as a server that offers them all reads it.

    Raises:
        MessagesError: A field of a server tool makes no sense.
    """
    offer = ServerToolOffer(lambda text: text, lambda _sealed: None, _NoSearch(), _NoFetcher())
    request, names = _with_mcp_tools(request)
    offered = offer.for_request(request, deferred_functions(request.tools or []))
    definitions = {place: tool.definition for place, tool in offered.items() if tool.definition is not None}
    request = with_mcp_names(with_functions(request, definitions), names)
    return with_separate_results(request, offer.readers)


def _with_mcp_tools(request: CountTokensRequest) -> tuple[CountTokensRequest, McpNames]:
    """The request with the tools of its MCP servers, whose listings it must bring along, and their names."""
    found = toolsets(request, None)
    listings = []
    for toolset in found:
        if toolset.listing is None:
            raise invalid(NO_LISTING, f"mcp_servers.{toolset.server_place}")
        listings.append((toolset, toolset.listing))
    request, offered = with_tools(request, listings) if found else (request, [])
    return request, {(tool.toolset.server.name, tool.name): tool.prompt_name for tool in offered}
