"""Citations through the routes: streamed or not, in one round or several, and sent back in the next turn."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from stream import grammar
from stream.oracle import final_message
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.search import SearchHit, SearchQuery
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineToolCall, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer

TEXT = "The grass is green. The sky is blue."
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": TEXT},
    "title": "Colours",
    "citations": {"enabled": True},
}
USER = {"role": "user", "content": [DOCUMENT, {"type": "text", "text": "Which colours?"}]}
ASK: dict[str, Any] = {"model": "fake", "max_tokens": 100, "messages": [USER]}
CITED: Sequence[EngineDelta] = [
    *map(EngineText, ["It says <ci", 'te n="2">the sky is', " blue</cite>."]),
    ReplyFinished("stop", 9),
]


class Found:
    """A search service that finds one page."""

    name = "found"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        return [SearchHit("https://a.example/x", "A", "It rains. It pours.")]


def offer() -> ServerToolOffer:
    sealer = signer("test", SEARCH_RESULT)
    return ServerToolOffer(sealer.sign, sealer.restore, Found())


async def post(engine: FakeEngine, body: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(engine, server_tools=offer()))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        reply = await client.post("/v1/messages", json=body)
        assert reply.status_code == 200, reply.text
        return reply


def events(reply: httpx.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]


def then(message: Any, text: str = "Sure?") -> dict[str, Any]:
    """The request of the next turn."""
    return {**ASK, "messages": [*ASK["messages"], {"role": "assistant", "content": message["content"]},
                                {"role": "user", "content": text}]}  # fmt: skip


async def test_a_reply_cites_its_document_streamed_or_not() -> None:
    whole = (await post(FakeEngine(replies=[CITED]), ASK)).json()
    assert [block["text"] for block in whole["content"]] == ["It says ", "the sky is blue", "."]
    assert [set(block) for block in whole["content"]] == [
        {"type", "text"}, {"type", "text", "citations"}, {"type", "text"},
    ]  # fmt: skip
    [citation] = whole["content"][1]["citations"]
    assert citation["cited_text"] == TEXT[citation["start_char_index"] : citation["end_char_index"]]
    assert (citation["document_index"], citation["document_title"]) == (0, "Colours")
    streamed = events(await post(FakeEngine(replies=[CITED]), {**ASK, "stream": True}))
    grammar.check(streamed)
    assert final_message(streamed)["content"] == whole["content"]


async def test_the_next_turn_begins_with_what_the_model_read_and_wrote() -> None:
    engine = FakeEngine(replies=[CITED, CITED])
    first = (await post(engine, ASK)).json()
    await post(engine, then(first))
    one, two = (request.conversation.messages for request in engine.requests)
    assert two[: len(one)] == one
    assert two[len(one)]["content"] == 'It says <cite n="2">the sky is blue</cite>.'


SEARCH: dict[str, Any] = {
    **ASK,
    "messages": [{"role": "user", "content": "Does it rain?"}],
    "tools": [{"type": "web_search_20250305", "name": "web_search"}],
}
SEARCHED: list[Sequence[EngineDelta]] = [
    [EngineToolCall(0, "web_search", '{"query": "rain"}'), ReplyFinished("stop", 5, token_ids=(1, 2))],
    [EngineText('Yes: <cite n="1-2">it does</cite>.'), ReplyFinished("stop", 5, token_ids=(3,))],
]


async def test_a_reply_cites_what_its_web_search_found() -> None:
    engine = FakeEngine(replies=SEARCHED)
    whole = (await post(engine, SEARCH)).json()
    cited = whole["content"][3]
    assert cited["text"] == "it does"
    [citation] = cited["citations"]
    assert isinstance(citation.pop("encrypted_index"), str)
    assert citation == {
        "type": "web_search_result_location",
        "cited_text": "It rains. It pours.",
        "url": "https://a.example/x",
        "title": "A",
    }
    streamed = events(await post(FakeEngine(replies=SEARCHED), {**SEARCH, "stream": True}))
    grammar.check(streamed)
    starts = [event["content_block"]["type"] for event in streamed if event["type"] == "content_block_start"]
    assert starts == [block["type"] for block in whole["content"]]


async def test_a_web_citation_that_comes_back_is_shown_as_it_was_written() -> None:
    engine = FakeEngine(replies=[*SEARCHED, CITED])
    whole = (await post(engine, SEARCH)).json()
    history = then(whole)["messages"][1:]
    await post(engine, {**SEARCH, "messages": [*SEARCH["messages"], *history]})
    one, two = (request.conversation.messages for request in engine.requests[1:])
    assert two[: len(one)] == one
    assert two[len(one)]["content"] == 'Yes: <cite n="1-2">it does</cite>.'


async def test_a_further_round_shows_the_model_what_it_has_cited() -> None:
    cites: Sequence[EngineDelta] = [
        EngineText('See <cite n="1">grass</cite>\n\n<cite n="2">sky</cite>.<cite n="1"></cite>'),
        *SEARCHED[0],
    ]
    engine = FakeEngine(replies=[cites, SEARCHED[1]])
    await post(engine, {**ASK, "tools": SEARCH["tools"]})
    reply = engine.requests[1].conversation.messages[1]["content"]
    assert str(reply).startswith('See <cite n="1">grass</cite>\n\n<cite n="2">sky</cite><cite n="1">.</cite>')


@pytest.mark.parametrize("stream", [False, True])
async def test_a_summary_of_a_conversation_has_no_tags(stream: bool) -> None:
    reply = await post(
        FakeEngine(replies=[CITED]), {**ASK, "compaction": {"type": "summarize"}, "stream": stream}
    )
    assert "It says the sky is blue." in reply.text
    assert "cite n=" not in reply.text
