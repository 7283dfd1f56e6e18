"""The web_search tool: result blocks, failures, and results that come back in a request."""

import logging

import pytest

from vllm_messages_plugin.rounds.ledger import ServerCall, parse_arguments
from vllm_messages_plugin.server_tools.search import SearchFailedError, SearchHit, SearchQuery
from vllm_messages_plugin.server_tools.web_search import WebSearch, failed, restored_content
from vllm_messages_plugin.translate.documents import search_result_text
from vllm_messages_plugin.wire.blocks import WebResultBlockParam

HITS = [SearchHit("https://a.example/x", "A", "About a.", "2026-11-20"), SearchHit("https://b.example/", "B")]


class Fixed:
    """A back end that finds two pages, or fails."""

    name = "fixed"

    def __init__(self, error: SearchFailedError | None = None) -> None:
        self.error = error
        self.asked: list[SearchQuery] = []

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        self.asked.append(query)
        if self.error is not None:
            raise self.error
        return HITS


def seal(text: str) -> str:
    return f"sealed({text})"


def restore(sealed: str) -> str | None:
    return sealed[7:-1] if sealed.startswith("sealed(") else None


def call(arguments: str) -> ServerCall:
    return ServerCall("srvtoolu_1", "web_search", parse_arguments(arguments))


def restored(content: object) -> str:
    """What a model reads of a block's content where nothing can be cited."""
    found = restored_content(content, restore)
    if isinstance(found, str):
        return found
    return "\n\n".join(search_result_text(hit) for hit in found if isinstance(hit, WebResultBlockParam))


async def test_a_search_gives_a_result_block_that_sdks_read() -> None:
    result = await WebSearch(Fixed(), seal).run(call('{"query": "x"}'))
    assert result.block_for(call("{}")) == {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "caller": {"type": "direct"},
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.example/x",
                "title": "A",
                "encrypted_content": "sealed(About a.)",
                "page_age": "2026-11-20",
            },
            {
                "type": "web_search_result",
                "url": "https://b.example/",
                "title": "B",
                "encrypted_content": "sealed()",
                "page_age": None,
            },
        ],
    }
    assert result.counted == "web_search_requests"


async def test_the_model_reads_the_same_text_now_and_when_the_block_comes_back() -> None:
    result = await WebSearch(Fixed(), seal).run(call('{"query": "x"}'))
    assert result.text == "1. A (2026-11-20)\nhttps://a.example/x\nAbout a.\n\n2. B\nhttps://b.example/"
    assert restored(result.block["content"]) == result.text


@pytest.mark.parametrize("content", [None, "x", 7, [], [7], [{"url": 7, "encrypted_content": 8}]])
def test_an_unknown_block_is_read_without_failing(content: object) -> None:
    assert isinstance(restored(content), str)


@pytest.mark.parametrize("code", ["unavailable", "too_many_requests"])
async def test_a_failed_search_is_an_error_block_and_a_log_line(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    backend = Fixed(SearchFailedError(code, "the reason"))  # type: ignore[arg-type]
    result = await WebSearch(backend, seal).run(call('{"query": "x"}'))
    assert result.block["content"] == {"type": "web_search_tool_result_error", "error_code": code}
    assert result.counted is None
    assert "the reason" in caplog.text
    assert restored(result.block["content"]) == result.text


@pytest.mark.parametrize("arguments", ["{}", '{"query": 7}', '["x"]', "{", '{"query": " "}'])
async def test_a_call_without_a_query_is_an_invalid_input(arguments: str) -> None:
    result = await WebSearch(Fixed(), seal).run(call(arguments))
    assert result.block["content"]["error_code"] == "invalid_tool_input"


async def test_domains_and_country_of_the_request_reach_the_service() -> None:
    backend = Fixed()
    await WebSearch(backend, seal, ["a.example"], (), "DE").run(call('{"query": "x"}'))
    assert backend.asked == [SearchQuery("x", ["a.example"], (), "DE")]


def test_an_unknown_error_code_still_reads_as_a_failure() -> None:
    assert failed("something new").text
