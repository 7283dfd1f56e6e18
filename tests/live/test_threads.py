"""Message threads on a real server: the same tokens as whole conversations, through the SDK and by hand."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from anthropic import beta_tool

from support.search_services import SearchServices
from support.server import Server

Json = dict[str, Any]
SYSTEM = "You look at herons. " * 200
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
CALL = '<tool_call>\n{"name": "look", "arguments": {"place": "the réeds"}}\n</tool_call>'
THOUGHT = "<think>\nA heron, I think.\n</think>\n\n"
TURNS = (
    ("Which bird is it?", f"{THOUGHT}I look.\n{CALL}"),
    ("And now?", "It is a heron. \U0001f600"),
    ("Sure?", f"{THOUGHT}Yes."),
    ("Thanks.", "Welcome."),
)


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def asked(text: str, last: Sequence[Json]) -> Json:
    """A turn of the user, with a result for each call of the last reply."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Grey."}
        for block in last
        if block["type"] == "tool_use"
    ]
    return user([*results, {"type": "text", "text": text}])


def send(http: httpx.Client, body: Json) -> Json:
    reply = http.post("/v1/messages", json={"model": "tiny", "max_tokens": 100, **body})
    assert reply.status_code == 200, reply.text
    message: Json = reply.json()
    return message


@pytest.mark.parametrize("fields", [{}, {"thinking": {"type": "adaptive"}}], ids=["plain", "thinking"])
def test_each_turn_has_the_tokens_of_the_whole_conversation(http: httpx.Client, fields: Json) -> None:
    fixed: Json = {"system": SYSTEM, "tools": [TOOL]}
    history: list[Json] = []
    threaded: Json = {"content": []}
    whole: Json = {"content": []}
    usages: list[tuple[Json, Json]] = []
    for number, (text, script) in enumerate(TURNS):
        said = {"vllm_xargs": {"script": script}, **fields}
        thread = {"type": "continue", "previous_message_id": threaded.get("id")}
        begun = {"thread": thread} if number else {"thread": {"type": "create"}, **fixed}
        salt = f"{fields}-threaded"
        new = asked(text, threaded["content"])
        threaded = send(http, {"messages": [new], **begun, **said, "cache_salt": salt})
        history.append(asked(text, whole["content"]))
        whole = send(http, {"messages": history, **fixed, **said, "cache_salt": f"{fields}-whole"})
        history.append({"role": "assistant", "content": whole["content"]})
        usages.append((threaded["usage"], whole["usage"]))
    assert [one for one, _ in usages] == [other for _, other in usages]
    assert all(usage["cache_read_input_tokens"] > 500 for usage, _ in usages[1:])


@contextmanager
def watched(server: Server) -> Iterator[tuple[anthropic.Anthropic, list[Any]]]:
    """The SDK, and what it sends: the type of the thread, and how many messages."""
    sent: list[Any] = []

    def watch(request: httpx2.Request) -> None:
        body = json.loads(request.content)
        sent.append(((body.get("thread") or {}).get("type"), len(body["messages"])))

    transport = anthropic.DefaultHttpxClient(trust_env=False, event_hooks={"request": [watch]})
    with anthropic.Anthropic(
        base_url=server.url, api_key="x", max_retries=0, timeout=120, http_client=transport
    ) as client:
        yield client, sent


@beta_tool
def look(place: str) -> str:
    """Look at a place.

    Args:
        place: Where to look.
    """
    return f"There is a heron in {place}."


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_tool_runner_sends_only_what_is_new(server: Server, stream: bool) -> None:
    rules = [{"when": "There is a heron", "say": "It is a heron."}, {"when": "Which bird", "say": CALL}]
    with server.playbook(rules), watched(server) as (client, sent):
        runner = client.beta.messages.tool_runner(
            model="tiny", max_tokens=200, tools=[look], messages=[user("Which bird is it?")], stream=stream
        )
        message = runner.until_done()
    assert message.content[0].text == "It is a heron."
    assert sent == [("create", 1), ("continue", 1)]


def test_results_of_server_tools_stay_in_the_thread(server: Server, services: SearchServices) -> None:
    services.mode = "ok"
    search = '<tool_call>\n{"name": "web_search", "arguments": {"query": "heron"}}\n</tool_call>'
    rules = [
        {"when": "Run pip install.*And then", "say": "It flies."},
        {"when": "Run pip install", "say": "It waits for fish."},
        {"when": "What does the heron do", "say": f"I look it up.\n{search}"},
    ]
    with server.playbook(rules), watched(server) as (client, sent):
        thread = client.beta.messages.thread(model="tiny", max_tokens=300, tools=[SEARCH], messages=[])
        first = thread.send(user("What does the heron do?"))
        second = thread.send(user("And then?"))
    assert [block.type for block in first.content][1:3] == ["server_tool_use", "web_search_tool_result"]
    assert second.content[0].text == "It flies."
    assert sent == [("create", 1), ("continue", 1)]
