"""The server tools of a request that is rendered without a server: offered, and never run."""

from collections.abc import Callable

from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.page_text import Page, UnsupportedContentError
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchHit, SearchQuery
from vllm_messages_plugin.translate.server_tools import with_functions, with_separate_results
from vllm_messages_plugin.translate.tools.offered_functions import deferred_functions
from vllm_messages_plugin.wire.request import CountTokensRequest


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
    offered = offer.for_request(request, deferred_functions(request.tools or []))
    request = with_functions(request, {place: tool.definition for place, tool in offered.items()})
    return with_separate_results(request, offer.readers)
