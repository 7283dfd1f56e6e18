"""Server tools on a real vLLM server: the rounds share their prefix, and both SDK forms agree."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from support.page_site import PageSite
from support.search_services import PAGES, SearchServices
from support.server import Server

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
LONG = "The heron stands in the reeds and waits for a fish that it can see. " * 900
CALL = '<tool_call>\n{"name": "web_search", "arguments": {"query": "heron"}}\n</tool_call>'
RULES = [
    {"when": "Run pip install", "say": "It waits for fish."},
    {"when": "What does the heron do", "say": f"I look it up.\n{CALL}"},
]
CACHED_SHARE = 0.99


@pytest.fixture(autouse=True)
def _fresh(services: SearchServices) -> Iterator[None]:
    services.mode = "ok"
    services.asked.clear()
    yield
    services.mode = "ok"


def body(text: str = "What does the heron do?", **fields: Any) -> dict[str, Any]:
    return {
        "model": "tiny",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": text}],
        "tools": [SEARCH],
    } | fields


def comparable(message: Any) -> Any:
    """A message without what differs from request to request."""
    blocks = json.loads(
        json.dumps(message["content"]).replace(
            next((block["id"] for block in message["content"] if "id" in block), "-"), "srvtoolu_x"
        )
    )
    return blocks, message["stop_reason"], message["usage"]["server_tool_use"]


def test_the_sdk_reads_the_same_message_streaming_and_non_streaming(
    server: Server, anthropic_client: anthropic.Anthropic, services: SearchServices
) -> None:
    with server.playbook(RULES):
        whole = anthropic_client.messages.create(**body()).to_dict()
        with anthropic_client.messages.stream(**body()) as stream:
            streamed = stream.get_final_message().to_dict()
    assert [block["type"] for block in whole["content"]] == [
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]
    assert comparable(whole) == comparable(streamed)
    assert whole["stop_reason"] == "end_turn"
    assert whole["content"][2]["content"][0]["url"] == PAGES[0]["url"]
    assert services.queries == ["heron", "heron"]


def shares(usage: dict[str, Any]) -> list[float]:
    """How much of each round's tokens the next round found in the prefix cache."""
    totals = [
        sum(count for name, count in entry.items() if name.endswith("input_tokens"))
        for entry in usage["iterations"]
    ]
    return [
        later["cache_read_input_tokens"] / (total + entry["output_tokens"])
        for entry, later, total in zip(usage["iterations"], usage["iterations"][1:], totals, strict=False)
    ]


@pytest.mark.parametrize("thinking", [False, True])
def test_the_next_round_finds_the_last_one_in_the_prefix_cache(
    thinking: bool, server: Server, http: httpx.Client
) -> None:
    thought = "<think>\nI should look that up before I say a word about it.\n</think>\n\n" if thinking else ""
    rules = [{**rule, "say": thought + str(rule["say"])} for rule in RULES]
    fields: dict[str, Any] = {"thinking": {"type": "adaptive"}} if thinking else {}
    with server.playbook(rules):
        message = http.post("/v1/messages", json=body(f"{LONG} What does the heron do?", **fields)).json()
    assert message["content"][-1]["text"] == "It waits for fish.", message
    assert len(message["usage"]["iterations"]) == 2
    assert min(shares(message["usage"])) >= CACHED_SHARE, message["usage"]


def test_prompted_tools_share_their_prefix_as_well(strict_server: Server, strict_http: httpx.Client) -> None:
    # This window holds fewer tokens, and the cache knows whole blocks only: all of them must be found.
    with strict_server.playbook(RULES):
        message = strict_http.post("/v1/messages", json=body(f"{LONG[:4000]} What does the heron do?")).json()
    assert message["content"][-1]["text"] == "It waits for fish.", message
    first, second = message["usage"]["iterations"]
    prompt = sum(count for name, count in first.items() if name.endswith("input_tokens"))
    block = 128
    known = (prompt + first["output_tokens"] - 1) // block * block
    assert second["cache_read_input_tokens"] >= known - block, message["usage"]


def test_the_next_turn_gives_the_model_the_text_of_the_hits(
    server: Server, http: httpx.Client, services: SearchServices
) -> None:
    with server.playbook(RULES):
        first = http.post("/v1/messages", json=body()).json()
    messages = [
        {"role": "user", "content": "What does the heron do?"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "And where?"},
    ]
    with server.playbook([{"when": "Run pip install.*And where", "say": "In the reeds."}]):
        reply = http.post("/v1/messages", json=body(messages=messages))
    assert reply.status_code == 200, reply.text
    assert reply.json()["content"][0]["text"] == "In the reeds."


def test_a_failing_search_service_leaves_the_stream_complete(
    server: Server, anthropic_client: anthropic.Anthropic, services: SearchServices
) -> None:
    services.mode = "busy"
    rules = [{"when": "too many requests", "say": "I could not search."}, RULES[1]]
    with server.playbook(rules), anthropic_client.messages.stream(**body()) as stream:
        message = stream.get_final_message().to_dict()
    assert message["content"][2]["content"]["error_code"] == "too_many_requests"
    assert message["content"][3]["text"] == "I could not search."


def test_a_forced_search_is_made_with_thinking_disabled(server: Server, http: httpx.Client) -> None:
    rules = [{"when": "Run pip install", "say": "It waits for fish."}, {"when": "heron", "say": CALL}]
    fields = {"tool_choice": {"type": "tool", "name": "web_search"}, "thinking": {"type": "disabled"}}
    with server.playbook(rules):
        message = http.post("/v1/messages", json=body(**fields)).json()
    assert [block["type"] for block in message["content"]] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]


def test_claude_codes_search_request_needs_no_model(
    server: Server, http: httpx.Client, services: SearchServices
) -> None:
    with server.playbook([{"when": ".", "say": "The model was asked."}]):
        message = http.post(
            "/v1/messages", json=body("Perform a web search for the query: heron food")
        ).json()
    assert services.queries == ["heron food"]
    assert "The model was asked." not in message["content"][-1]["text"]
    assert PAGES[0]["text"] in message["content"][-1]["text"]


def test_a_page_is_fetched_by_both_sdk_modes(
    server: Server, anthropic_client: anthropic.Anthropic, pages: PageSite
) -> None:
    url = f"{pages.url}/heron"
    call = f'<tool_call>\n{{"name": "web_fetch", "arguments": {{"url": "{url}"}}}}\n</tool_call>'
    rules = [{"when": "The heron waits", "say": "In the reeds."}, {"when": "Read", "say": call}]
    fields = body(f"Read {url}", tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}])
    with server.playbook(rules):
        whole = anthropic_client.messages.create(**fields).to_dict()
        with anthropic_client.messages.stream(**fields) as stream:
            streamed = stream.get_final_message().to_dict()
    assert [block["type"] for block in whole["content"]] == [
        "server_tool_use",
        "web_fetch_tool_result",
        "text",
    ]
    assert whole["content"][1]["content"]["content"]["title"] == "Herons & fish"
    assert whole["content"][2]["text"] == streamed["content"][2]["text"] == "In the reeds."
    assert whole["usage"]["server_tool_use"]["web_fetch_requests"] == 1
    again = [*fields["messages"], {"role": "assistant", "content": streamed["content"]}]
    with server.playbook([{"when": "The heron waits.*And then", "say": "It fishes."}]):
        reply = anthropic_client.messages.create(
            **fields | {"messages": [*again, {"role": "user", "content": "And then?"}]}
        )
    assert reply.content[0].text == "It fishes."
