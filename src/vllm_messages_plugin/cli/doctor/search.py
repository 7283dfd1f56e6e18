"""Asks the search service that the environment names, as the server would."""

import asyncio
from collections.abc import Iterator, Mapping

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchQuery, run_search
from vllm_messages_plugin.server_tools.search_backends import JSON_DISABLED, http_client, search_backend

VARIABLE = "VLLM_MESSAGES_SEARCH"
QUERY = "vLLM"
NO_JSON_ADVICE = "allow it in SearXNG's settings.yml: search.formats: [html, json]"
DOWN_ADVICE = "check the address and the key; until then the model is told that the search is unavailable"


def search(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield one line about the search service; none where no service is named."""
    setting = environ.get(VARIABLE, "")
    if setting:
        yield asyncio.run(_ask(setting, environ.get(f"{VARIABLE}_KEY", "")))


async def _ask(setting: str, key: str) -> Line:
    async with http_client() as client:
        try:
            backend = search_backend(setting, key, client)
            hits = await run_search(backend, SearchQuery(QUERY))
        except ValueError as error:
            return fail(VARIABLE, str(error), "correct it: until then web_search is refused")
        except SearchFailedError as error:
            advice = NO_JSON_ADVICE if error.reason == JSON_DISABLED else DOWN_ADVICE
            return fail(VARIABLE, f"no answer ({error.code}): {error.reason}", advice)
    if not hits:
        return warn(VARIABLE, f"{backend.name} finds nothing for {QUERY!r}", "check its engines")
    return ok(VARIABLE, f"{backend.name} finds {len(hits)} pages for {QUERY!r}")
