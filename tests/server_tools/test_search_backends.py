"""Each search service, asked over real HTTP on loopback."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from support.search_services import PAGES, SearchServices, search_services
from vllm_messages_plugin.server_tools import search_backends
from vllm_messages_plugin.server_tools.search import SearchBackend, SearchFailedError, SearchQuery, run_search
from vllm_messages_plugin.server_tools.search_backends import http_client, search_backend

PATHS = {"searxng": "", "brave": "", "tavily": "/tavily", "exa": "/exa"}


@pytest.fixture
def services() -> Iterator[SearchServices]:
    """Loopback search services."""
    with search_services() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The client of production, which no proxy of this machine may catch."""
    async with http_client() as opened:
        yield opened


def backend(name: str, services: SearchServices, client: httpx.AsyncClient) -> SearchBackend:
    """The back end that the setting of an operator would give."""
    return search_backend(f"{name}:{services.url}{PATHS[name]}", "key-1", client)


@pytest.mark.parametrize("name", PATHS)
async def test_a_search_finds_address_title_text_and_date(
    name: str, services: SearchServices, client: httpx.AsyncClient
) -> None:
    hits = await run_search(backend(name, services, client), SearchQuery("how to install"))
    assert [(hit.url, hit.title, hit.text, hit.page_age) for hit in hits] == [
        (page["url"], page["title"], page["text"], page.get("date")) for page in PAGES
    ]
    assert services.queries == ["how to install"]


@pytest.mark.parametrize("name", PATHS)
async def test_domain_lists_hold_whatever_the_service_returns(
    name: str, services: SearchServices, client: httpx.AsyncClient
) -> None:
    only = SearchQuery("x", allowed_domains=["docs.example.com"])
    hits = await run_search(backend(name, services, client), only)
    assert [hit.url for hit in hits] == [PAGES[0]["url"], PAGES[2]["url"]]
    without = SearchQuery("x", blocked_domains=["docs.example.com"])
    hits = await run_search(backend(name, services, client), without)
    assert [hit.url for hit in hits] == [PAGES[1]["url"]]


async def test_services_without_a_field_for_domains_get_site_operators(
    services: SearchServices, client: httpx.AsyncClient
) -> None:
    both = SearchQuery("x", allowed_domains=["a.com", "b.com/docs"])
    await run_search(backend("searxng", services, client), both)
    await run_search(backend("brave", services, client), SearchQuery("x", blocked_domains=["c.com"]))
    assert services.queries == ["x (site:a.com OR site:b.com/docs)", "x -site:c.com"]


@pytest.mark.parametrize(("name", "header"), [("brave", "X-Subscription-Token"), ("exa", "X-Api-Key")])
async def test_the_key_goes_into_the_header_of_the_service(
    name: str, header: str, services: SearchServices, client: httpx.AsyncClient
) -> None:
    await run_search(backend(name, services, client), SearchQuery("x"))
    headers = {key.lower(): value for key, value in services.asked[0]["headers"].items()}
    assert headers[header.lower()] == "key-1"


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("busy", "too_many_requests"),
        ("broken", "unavailable"),
        ("forbidden", "unavailable"),
        ("html", "unavailable"),
        ("no list", "unavailable"),
        ("deep", "unavailable"),
        ("bomb", "unavailable"),
        ("redirect", "unavailable"),
    ],
)
async def test_a_failing_service_is_a_typed_error(
    name: str, mode: str, code: str, services: SearchServices, client: httpx.AsyncClient
) -> None:
    services.mode = mode
    with pytest.raises(SearchFailedError) as caught:
        await run_search(backend(name, services, client), SearchQuery("x"))
    assert caught.value.code == code


async def test_a_slow_service_times_out(services: SearchServices, monkeypatch: pytest.MonkeyPatch) -> None:
    services.mode = "slow"
    monkeypatch.setattr(search_backends, "TIMEOUT_SECONDS", 0.2)
    async with http_client() as client:
        with pytest.raises(SearchFailedError, match="Timeout"):
            await run_search(backend("searxng", services, client), SearchQuery("x"))


async def test_a_service_that_is_down_is_a_typed_error(client: httpx.AsyncClient) -> None:
    with pytest.raises(SearchFailedError) as caught:
        await run_search(search_backend("searxng:http://127.0.0.1:9", "", client), SearchQuery("x"))
    assert caught.value.code == "unavailable"


async def test_searxng_without_the_json_format_is_an_error_with_advice(
    services: SearchServices, client: httpx.AsyncClient
) -> None:
    services.mode = "forbidden"
    with pytest.raises(SearchFailedError, match=r"search\.formats"):
        await run_search(backend("searxng", services, client), SearchQuery("x"))


@pytest.mark.parametrize("mode", ["empty", "odd"])
async def test_rows_that_are_no_results_are_left_out(
    mode: str, services: SearchServices, client: httpx.AsyncClient
) -> None:
    services.mode = mode
    assert await run_search(backend("searxng", services, client), SearchQuery("x")) == []


@pytest.mark.parametrize(
    ("setting", "key", "said"),
    {
        "unknown": ("bing", "k", "unknown service 'bing'"),
        "no address": ("searxng", "", "needs an address"),
        "bad address": ("searxng:file:///etc", "", "needs an address"),
        "no key": ("brave", "", "needs a key"),
    }.values(),
)
async def test_a_setting_that_names_nothing_usable_is_refused(
    setting: str, key: str, said: str, client: httpx.AsyncClient
) -> None:
    with pytest.raises(ValueError, match=said):
        search_backend(setting, key, client)


async def test_no_key_shows_in_a_back_end_written_to_a_log(client: httpx.AsyncClient) -> None:
    assert "hunter2" not in repr(search_backend("brave", "hunter2", client))
