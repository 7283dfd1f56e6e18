"""Domain lists and the bounds of a query."""

import pytest

from vllm_messages_plugin.server_tools.search import (
    SearchFailedError,
    SearchHit,
    SearchQuery,
    is_allowed,
    run_search,
)


class Fixed:
    """A back end that finds what it was given."""

    name = "fixed"

    def __init__(self, count: int = 1) -> None:
        self.hits = [SearchHit(f"https://example.com/{number}", "t") for number in range(count)]

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        return self.hits


@pytest.mark.parametrize(
    ("url", "allowed", "blocked", "expected"),
    [
        ("https://example.com/a", [], [], True),
        ("https://example.com/a", ["example.com"], [], True),
        ("https://sub.example.com/a", ["example.com"], [], True),
        ("https://notexample.com/a", ["example.com"], [], False),
        ("https://example.com.evil.net/a", ["example.com"], [], False),
        ("https://EXAMPLE.com./a", ["example.com"], [], True),
        ("https://example.com/docs/a", ["example.com/docs"], [], True),
        ("https://example.com/docs", ["example.com/docs/*"], [], True),
        ("https://example.com/docsx", ["example.com/docs"], [], False),
        ("https://example.com/a", [], ["example.com"], False),
        ("https://a.example.com/a", ["example.com"], ["a.example.com"], False),
        ("https://user@example.com@evil.net/", ["example.com"], [], False),
        ("ftp://example.com/a", [], [], False),
        ("javascript:alert(1)", [], [], False),
        ("http://[::1", [], [], False),
        ("", [], [], False),
    ],
)
def test_a_domain_covers_itself_its_subdomains_and_its_paths(
    url: str, allowed: list[str], blocked: list[str], expected: bool
) -> None:
    assert is_allowed(url, allowed, blocked) is expected


@pytest.mark.parametrize(("text", "code"), [(" ", "invalid_tool_input"), ("x" * 2_001, "query_too_long")])
async def test_a_query_without_use_never_reaches_the_service(text: str, code: str) -> None:
    with pytest.raises(SearchFailedError) as caught:
        await run_search(Fixed(), SearchQuery(text))
    assert caught.value.code == code


async def test_no_more_than_ten_results_are_kept() -> None:
    assert len(await run_search(Fixed(50), SearchQuery("x"))) == 10
