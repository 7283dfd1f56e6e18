"""Fetches a page as the server's `web_fetch` would, where the environment turns that on."""

import asyncio
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.media.guard import FetchError
from vllm_messages_plugin.media.pdf import PdfReader
from vllm_messages_plugin.server_tools.page_text import UnsupportedContentError
from vllm_messages_plugin.server_tools.web_fetch import PageFetcher

VARIABLE: Final = "VLLM_MESSAGES_FETCH"
PAGE: Final = "https://example.com/"
"""What is fetched where the operator lists no domains."""
INSTALL_ADVICE: Final = 'pip install "vllm-messages-plugin[search]": without it pages are plain text'
FORBIDDEN_ADVICE: Final = f"list a private address with its port in {VARIABLE}_DOMAINS, such as wiki.lan:8080"
INACCESSIBLE_ADVICE: Final = (
    "let this machine connect to the web (ports 80 and 443; no proxy is used), or set "
    "VLLM_MESSAGES_FETCH=off: until then every fetch fails"
)


def fetch(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield lines about fetching pages; none where `web_fetch` is off."""
    if environ.get(VARIABLE, "off").lower() != "on":
        return
    domains = [domain.strip() for domain in environ.get(f"{VARIABLE}_DOMAINS", "").split(",")]
    yield asyncio.run(_fetched(list(filter(None, domains))))
    if importlib.util.find_spec("html_to_markdown") is None:
        yield warn(VARIABLE, "html-to-markdown is not installed", INSTALL_ADVICE)


async def _fetched(domains: Sequence[str]) -> Line:
    url = _url_of(domains[0]) if domains else PAGE
    try:
        with ThreadPoolExecutor(1) as executor:
            page = await PageFetcher(PdfReader(executor), domains).fetch(url, lambda _url: True)
    except FetchError as error:
        advice = FORBIDDEN_ADVICE if error.kind == "forbidden" else INACCESSIBLE_ADVICE
        return fail(VARIABLE, f"{url} can't be fetched: {error}", advice)
    except UnsupportedContentError as error:
        return ok(VARIABLE, f"{url} is fetched, and has no text ({error})")
    return ok(VARIABLE, f"{url} is fetched: {len(page.text)} characters")


def _url_of(domain: str) -> str:
    """The URL of an entry of the operator's list: private origins, which have a port, speak plain HTTP."""
    scheme = "http" if domain.partition("/")[0].partition(":")[2] else "https"
    return f"{scheme}://{domain}{'' if '/' in domain else '/'}"
