"""Server tools through the routes: one message of several rounds, with a real search service on loopback."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from stream import grammar
from support.page_site import PageSite, page_site
from support.search_services import PAGES, SearchServices, search_services
from vllm_messages_plugin.media.pdf import PdfReader
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.search_backends import http_client, search_backend
from vllm_messages_plugin.server_tools.web_fetch import PageFetcher
from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFinished,
)
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CLIENT_TOOL = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
DEFERRED = {
    "name": "send_email",
    "description": "Send a message.",
    "input_schema": {"type": "object", "properties": {}},
    "defer_loading": True,
}
ASK: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "How is it installed?"}],
    "tools": [SEARCH],
}
Round = Sequence[EngineDelta]


def search(query: str = "install guide", number: int = 0) -> list[EngineDelta]:
    """A call of web_search in two pieces."""
    return [
        EngineToolCall(number, "web_search", '{"query": '),
        EngineToolCall(number, None, f"{json.dumps(query)}}}"),
    ]


def stop(tokens: int = 5) -> ReplyFinished:
    return ReplyFinished("stop", tokens, token_ids=(1, 2))


ANSWER: Round = [EngineText("Run pip install."), stop(7)]
SEARCHED: Round = [EngineText("Let me look."), *search(), stop()]


@pytest.fixture
def services() -> Iterator[SearchServices]:
    """Loopback search services."""
    with search_services() as running:
        yield running


@pytest.fixture
async def offer(services: SearchServices) -> AsyncIterator[ServerToolOffer]:
    """What a server offers whose operator named SearXNG."""
    sealer = signer("test", SEARCH_RESULT)
    async with http_client() as client:
        backend = search_backend(f"searxng:{services.url}", "", client)
        yield ServerToolOffer(sealer.sign, sealer.restore, backend)


Post = Callable[..., Any]


async def post(engine: FakeEngine, offer: ServerToolOffer | None, body: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(engine, server_tools=offer))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        return await client.post("/v1/messages", json=body)


async def streamed(engine: FakeEngine, offer: ServerToolOffer, body: Any) -> list[dict[str, Any]]:
    reply = await post(engine, offer, {**body, "stream": True})
    assert reply.status_code == 200, reply.text
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]


def types(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


async def test_a_reply_goes_on_behind_its_search(services: SearchServices, offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[SEARCHED, ANSWER])
    message = (await post(engine, offer, ASK)).json()
    assert types(message) == ["text", "server_tool_use", "web_search_tool_result", "text"]
    use, result = message["content"][1:3]
    assert use["input"] == {"query": "install guide"}
    assert use["id"].startswith("srvtoolu_")
    assert result["tool_use_id"] == use["id"]
    assert [hit["url"] for hit in result["content"]] == [page["url"] for page in PAGES]
    assert message["stop_reason"] == "end_turn"
    assert services.queries == ["install guide"]


async def test_the_usage_is_that_of_all_rounds(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[[PromptProcessed(100, 64), *SEARCHED], [PromptProcessed(150, 105), *ANSWER]])
    usage = (await post(engine, offer, ASK)).json()["usage"]
    assert usage["output_tokens"] == 12
    assert usage["cache_read_input_tokens"] == 169
    assert usage["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}
    assert [entry["output_tokens"] for entry in usage["iterations"]] == [5, 7]


async def test_the_stream_is_one_legal_message_and_equals_the_non_streaming_one(
    offer: ServerToolOffer,
) -> None:
    events = await streamed(FakeEngine(replies=[SEARCHED, ANSWER]), offer, ASK)
    grammar.check(events)
    assert [event["type"] for event in events].count("message_start") == 1
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    whole = (await post(FakeEngine(replies=[SEARCHED, ANSWER]), offer, ASK)).json()
    assert [block["type"] for block in starts] == types(whole)
    assert starts[2]["content"] == whole["content"][2]["content"]


async def test_the_model_reads_the_results_behind_its_own_call(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[SEARCHED, ANSWER])
    await post(engine, offer, ASK)
    first, second = (request.conversation for request in engine.requests)
    assert second.messages[: len(first.messages)] == first.messages
    call, result = second.messages[len(first.messages) :]
    assert call["role"] == "assistant"
    assert "Let me look." in str(call["content"])
    assert PAGES[0]["text"] in str(result["content"])


async def test_what_is_sent_back_in_the_next_turn_gives_the_model_the_same_text(
    offer: ServerToolOffer,
) -> None:
    engine = FakeEngine(replies=[SEARCHED, ANSWER, ANSWER])
    first = (await post(engine, offer, ASK)).json()
    again = {
        **ASK,
        "messages": [
            *ASK["messages"],
            {"role": "assistant", "content": first["content"]},
            {"role": "user", "content": "Thanks"},
        ],
    }
    assert (await post(engine, offer, again)).status_code == 200
    in_reply, in_history = engine.requests[1].conversation, engine.requests[2].conversation
    assert in_history.messages[: len(in_reply.messages)] == in_reply.messages


async def test_a_client_tool_called_beside_a_search_ends_the_turn(
    services: SearchServices, offer: ServerToolOffer
) -> None:
    both: Round = [EngineToolCall(0, "get_time", "{}"), *search(number=1), stop()]
    message = (await post(FakeEngine(replies=[both]), offer, {**ASK, "tools": [SEARCH, CLIENT_TOOL]})).json()
    assert types(message) == ["tool_use", "server_tool_use", "web_search_tool_result"]
    assert message["stop_reason"] == "tool_use"
    assert services.queries == ["install guide"]


async def test_the_same_search_twice_in_a_row_is_made_once(
    services: SearchServices, offer: ServerToolOffer
) -> None:
    engine = FakeEngine(replies=[SEARCHED, SEARCHED, ANSWER])
    message = (await post(engine, offer, ASK)).json()
    results = [block for block in message["content"] if block["type"] == "web_search_tool_result"]
    assert len(results) == 2
    assert results[0]["content"] == results[1]["content"]
    assert services.queries == ["install guide"]


async def test_max_uses_refuses_a_further_search_and_the_model_answers(
    services: SearchServices, offer: ServerToolOffer
) -> None:
    engine = FakeEngine(replies=[[*search("a"), stop()], [*search("b"), stop()], ANSWER])
    message = (await post(engine, offer, {**ASK, "tools": [{**SEARCH, "max_uses": 1}]})).json()
    refused = message["content"][3]["content"]
    assert refused == {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    assert message["stop_reason"] == "end_turn"
    assert services.queries == ["a"]


async def test_a_model_that_searches_for_ever_is_paused_and_can_be_resumed(offer: ServerToolOffer) -> None:
    rounds: list[Round] = [[*search(f"q{number}"), stop()] for number in range(10)]
    message = (await post(FakeEngine(replies=rounds), offer, ASK)).json()
    assert message["stop_reason"] == "pause_turn"
    assert message["usage"]["server_tool_use"]["web_search_requests"] == 10
    engine = FakeEngine(replies=[ANSWER])
    resumed = {**ASK, "messages": [*ASK["messages"], {"role": "assistant", "content": message["content"]}]}
    assert (await post(engine, offer, resumed)).json()["content"][0]["text"] == "Run pip install."
    assert not engine.requests[0].conversation.continues


@pytest.mark.parametrize(
    ("mode", "code"), [("busy", "too_many_requests"), ("broken", "unavailable"), ("forbidden", "unavailable")]
)
async def test_a_search_service_that_fails_is_an_error_block_and_the_model_answers(
    mode: str, code: str, services: SearchServices, offer: ServerToolOffer
) -> None:
    services.mode = mode
    message = (await post(FakeEngine(replies=[SEARCHED, ANSWER]), offer, ASK)).json()
    assert message["content"][2]["content"]["error_code"] == code
    assert message["content"][3]["text"] == "Run pip install."
    assert message["usage"]["server_tool_use"] is None


async def test_thinking_of_every_round_is_shown_and_reaches_the_next_round(offer: ServerToolOffer) -> None:
    rounds: list[Round] = [
        [EngineThinking("I should look.", 3), *search(), ReplyFinished("stop", 9, 3, token_ids=(1,))],
        [EngineThinking("Now I know.", 2), EngineText("Done."), ReplyFinished("stop", 5, 2)],
    ]
    engine = FakeEngine(replies=rounds)
    message = (await post(engine, offer, {**ASK, "thinking": {"type": "adaptive"}})).json()
    assert types(message) == ["thinking", "server_tool_use", "web_search_tool_result", "thinking", "text"]
    assert message["usage"]["output_tokens_details"]["thinking_tokens"] == 5


async def test_a_reply_cut_by_max_tokens_runs_no_search(
    services: SearchServices, offer: ServerToolOffer
) -> None:
    cut: Round = [*search(), ReplyFinished("length", 100)]
    message = (await post(FakeEngine(replies=[cut]), offer, ASK)).json()
    assert message["stop_reason"] == "max_tokens"
    assert services.queries == []


async def test_all_rounds_share_max_tokens(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[[*search(), stop(60)], ANSWER])
    await post(engine, offer, ASK)
    assert [request.sampling.max_tokens for request in engine.requests] == [100, 40]


async def test_a_round_is_cut_by_max_tokens_and_not_by_the_window(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[[*search(), stop(60)], ANSWER])
    await post(engine, offer, ASK)
    rounds = [request.sampling for request in engine.requests]
    assert [sampling.asked_tokens - sampling.max_tokens for sampling in rounds] == [0, 0]


@pytest.mark.parametrize(
    ("used", "window", "reason"), [(100, 1000, "max_tokens"), (5, 40, "model_context_window_exceeded")]
)
async def test_a_reply_without_room_for_another_round_says_why(
    used: int, window: int, reason: str, offer: ServerToolOffer
) -> None:
    engine = FakeEngine(replies=[[*search(), stop(used)], ANSWER], window=window)
    message = (await post(engine, offer, ASK)).json()
    assert types(message) == ["server_tool_use", "web_search_tool_result"]
    assert message["stop_reason"] == reason


async def test_a_forced_search_is_forced_once(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[[*search(), stop()], ANSWER])
    body = {**ASK, "tool_choice": {"type": "tool", "name": "web_search"}}
    message = (await post(engine, offer, body)).json()
    assert [request.conversation.choice.mode for request in engine.requests] == ["tool", "auto"]
    assert message["stop_reason"] == "end_turn"


async def test_claude_codes_search_request_is_answered_without_the_model(
    services: SearchServices, offer: ServerToolOffer
) -> None:
    engine = FakeEngine(replies=[ANSWER])
    body = {
        **ASK,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Perform a web search for the query: vllm plugins"}],
            }
        ],
        "tools": [{**SEARCH, "max_uses": 8}],
        "tool_choice": {"type": "tool", "name": "web_search"},
        "thinking": {"type": "disabled"},
    }
    events = await streamed(engine, offer, body)
    grammar.check(events)
    assert engine.requests == []
    assert services.queries == ["vllm plugins"]
    text = "".join(
        event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text_delta"
    )
    assert all(page["text"] in text and page["url"] in text for page in PAGES)


async def test_found_tools_may_be_called_in_the_same_turn(offer: ServerToolOffer) -> None:
    finder = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    rounds: list[Round] = [
        [EngineToolCall(0, "tool_search_tool_regex", '{"pattern": "email"}'), stop()],
        [EngineToolCall(0, "send_email", "{}"), stop()],
    ]
    engine = FakeEngine(replies=rounds)
    message = (await post(engine, offer, {**ASK, "tools": [finder, CLIENT_TOOL, DEFERRED]})).json()
    assert types(message) == ["server_tool_use", "tool_search_tool_result", "tool_use"]
    assert message["content"][1]["content"]["tool_references"] == [
        {"type": "tool_reference", "tool_name": "send_email"}
    ]
    assert message["content"][2]["name"] == "send_email"
    assert message["stop_reason"] == "tool_use"
    names = [
        {tool["function"]["name"] for tool in request.conversation.callable_tools}
        for request in engine.requests
    ]
    assert "send_email" not in names[0]
    assert "send_email" in names[1]


@pytest.mark.parametrize(
    ("fields", "path"),
    {
        "both lists": (
            {"allowed_domains": ["a.com"], "blocked_domains": ["b.com"]},
            "tools.0.allowed_domains",
        ),
        "no list": ({"allowed_domains": "a.com"}, "tools.0.allowed_domains"),
        "no domain": ({"blocked_domains": [7]}, "tools.0.blocked_domains"),
        "no number": ({"max_uses": "many"}, "tools.0.max_uses"),
        "no use": ({"max_uses": 0}, "tools.0.max_uses"),
        "no location": ({"user_location": "here"}, "tools.0.user_location"),
        "no country": (
            {"user_location": {"type": "approximate", "country": "Germany"}},
            "tools.0.user_location.country",
        ),
    }.values(),
)
async def test_a_field_without_sense_is_refused_by_name(
    fields: dict[str, Any], path: str, offer: ServerToolOffer
) -> None:
    reply = await post(FakeEngine(), offer, {**ASK, "tools": [{**SEARCH, **fields}]})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(path)


async def test_without_a_search_service_the_tool_is_refused_by_name() -> None:
    sealer = signer("test", SEARCH_RESULT)
    reply = await post(FakeEngine(), ServerToolOffer(sealer.sign, sealer.restore), ASK)
    assert reply.status_code == 400
    assert "web_search_20250305" in reply.json()["error"]["message"]


async def test_a_client_tool_that_is_named_web_search_stays_the_clients(offer: ServerToolOffer) -> None:
    tool = {"name": "web_search", "input_schema": {"type": "object", "properties": {}}}
    message = (await post(FakeEngine(replies=[[*search(), stop()]]), offer, {**ASK, "tools": [tool]})).json()
    assert types(message) == ["tool_use"]
    assert message["stop_reason"] == "tool_use"


@pytest.mark.parametrize("date", ["20250305", "20260209", "20260318", "20991231"])
async def test_every_dated_version_is_the_same_tool(date: str, offer: ServerToolOffer) -> None:
    body = {**ASK, "tools": [{**SEARCH, "type": f"web_search_{date}"}]}
    assert types((await post(FakeEngine(replies=[SEARCHED, ANSWER]), offer, body)).json())[1] == (
        "server_tool_use"
    )


async def test_a_failure_in_a_later_round_ends_the_stream_with_an_error(offer: ServerToolOffer) -> None:
    engine = FakeEngine(replies=[SEARCHED, [EngineText("Half"), RuntimeError("boom")]])  # type: ignore[list-item]
    events = await streamed(engine, offer, ASK)
    assert events[-1]["type"] == "error"
    grammar.check(events)


@pytest.mark.parametrize("offered", [True, False])
async def test_the_model_list_shows_whether_the_server_searches(
    offered: bool, offer: ServerToolOffer
) -> None:
    sealer = signer("test", SEARCH_RESULT)
    tools = offer if offered else ServerToolOffer(sealer.sign, sealer.restore)
    transport = httpx.ASGITransport(app_with(FakeEngine(), server_tools=tools))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        (model,) = (await client.get("/v1/models")).json()["data"]
    assert model["capabilities"]["server_tools"]["web_search"]["supported"] is offered


def fetch(url: str) -> list[EngineDelta]:
    """A call of web_fetch."""
    return [EngineToolCall(0, "web_fetch", json.dumps({"url": url})), stop()]


FETCH_TYPES = ["web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318"]


@pytest.fixture
async def fetching() -> AsyncIterator[tuple[ServerToolOffer, PageSite]]:
    """A server that fetches from one site on loopback, and the site."""
    sealer = signer("test", SEARCH_RESULT)
    with page_site() as site, ThreadPoolExecutor(1) as executor:
        fetcher = PageFetcher(PdfReader(executor), (site.host,))
        yield ServerToolOffer(sealer.sign, sealer.restore, fetcher=fetcher), site


@pytest.mark.parametrize("kind", FETCH_TYPES)
async def test_a_page_that_the_user_names_is_fetched(
    kind: str, fetching: tuple[ServerToolOffer, PageSite]
) -> None:
    offer, site = fetching
    url = f"{site.url}/heron"
    engine = FakeEngine(replies=[fetch(url), ANSWER])
    tool = {"type": kind, "name": "web_fetch", "max_content_tokens": 1000, "use_cache": False}
    ask = ASK | {"messages": [{"role": "user", "content": f"Read {url}"}], "tools": [tool]}
    message = (await post(engine, offer, ask)).json()
    assert types(message) == ["server_tool_use", "web_fetch_tool_result", "text"]
    assert message["content"][1]["content"]["content"]["title"] == "Herons & fish"
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 0, "web_fetch_requests": 1}
    assert "The heron waits" in str(engine.requests[-1].conversation.messages[-1]["content"])


async def test_a_link_of_a_fetched_page_may_be_fetched_next(
    fetching: tuple[ServerToolOffer, PageSite],
) -> None:
    offer, site = fetching
    first, second = f"{site.url}/heron", f"{site.url}/reeds"
    engine = FakeEngine(replies=[fetch(second), fetch(first), fetch(second), ANSWER])
    tools = [{"type": FETCH_TYPES[0], "name": "web_fetch"}]
    ask = ASK | {"messages": [{"role": "user", "content": f"Read {first}"}], "tools": tools}
    message = (await post(engine, offer, ask)).json()
    results = [b["content"] for b in message["content"] if b["type"] == "web_fetch_tool_result"]
    assert results[0]["error_code"] == "url_not_in_prior_context"
    assert results[2]["content"]["source"]["data"] == "The reeds stand in water."


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_content_tokens": 0}, "tools.0.max_content_tokens"),
        ({"allowed_domains": ["a.com"], "blocked_domains": ["b.com"]}, "tools.0.allowed_domains"),
        ({"url_sources": {"user_input": 7}}, "tools.0.url_sources.user_input"),
    ],
)
async def test_a_field_of_web_fetch_that_makes_no_sense_is_refused_by_name(
    fields: dict[str, Any], path: str, fetching: tuple[ServerToolOffer, PageSite]
) -> None:
    tool = {"type": FETCH_TYPES[0], "name": "web_fetch", **fields}
    reply = await post(FakeEngine(), fetching[0], ASK | {"tools": [tool]})
    assert reply.status_code == 400
    assert path in reply.json()["error"]["message"]


@pytest.mark.parametrize("kind", FETCH_TYPES)
async def test_web_fetch_is_refused_by_name_where_it_is_off(kind: str, offer: ServerToolOffer) -> None:
    reply = await post(FakeEngine(), offer, ASK | {"tools": [{"type": kind, "name": "web_fetch"}]})
    assert (reply.status_code, kind in reply.json()["error"]["message"]) == (400, True)
