"""Server tools together with everything else that a request may ask for, each row streamed and whole."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support.page_site import PageSite
from support.search_services import SearchServices
from support.server import Server
from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation, parse_events
from vllm_messages_plugin.engine.vllm import compat

Json = dict[str, Any]

SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
FETCH: Json = {"type": "web_fetch_20250910", "name": "web_fetch"}
FINDER: Json = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
CLOCK: Json = {
    "name": "get_time",
    "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
MAIL: Json = {
    "name": "send_email",
    "description": "Send an electronic message.",
    "input_schema": {"type": "object", "properties": {}},
    "defer_loading": True,
}
FORMAT: Json = {
    "output_config": {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"food": {"type": "string"}},
                "required": ["food"],
                "additionalProperties": False,
            },
        }
    }
}
THINK: Json = {"thinking": {"type": "adaptive"}}
ONE_CALL: Json = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
COMPACT: Json = {
    "context_management": {
        "edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 5}}]
    }
}
DOCUMENT: Json = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Herons wait. They eat fish."},
    "citations": {"enabled": True},
}
FOUND = "Run pip install"
"""Stands in what the search finds."""


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def think(words: str) -> str:
    return f"<think>\n{words}\n</think>\n\n"


ASKED = "What does the heron eat?"
LOOK, TIME = call("web_search", query="heron food"), call("get_time", zone="UTC")
USE, RESULT = "server_tool_use", "web_search_tool_result"
JSON = '{"food": "fish"}'


@dataclass(frozen=True)
class Row:
    """A request, what the model writes at first and after the results, and the outcome.

    Attributes:
        fields: The fields of the request beside `model`, `max_tokens` and `messages`.
        first: What the model writes in the first round.
        second: What it writes once it has read the results of the search.
        kinds: The types of the blocks of the reply.
        stop: Its stop reason.
        text: Its last block of text; None where there is none.
        searches: How often the search service is asked.
        rules: Rules of the playbook that come before those of `first` and `second`.
        content: The content of the user's message.
    """

    fields: Json
    first: str
    second: str
    kinds: Sequence[str]
    stop: str
    text: str | None = None
    searches: int = 1
    rules: Sequence[Mapping[str, str]] = ()
    content: Any = ASKED
    sequence: str | None = None
    max_tokens: int = 300


def tools(*listed: Json, **fields: Any) -> Json:
    return {"tools": list(listed), **fields}


ROWS: dict[str, Row] = {
    "a client tool that is not called": Row(
        tools(SEARCH, CLOCK), LOOK, "It eats fish.", [USE, RESULT, "text"], "end_turn", "It eats fish."
    ),
    "a client tool called alone": Row(
        tools(SEARCH, CLOCK), TIME, "unused", ["tool_use"], "tool_use", searches=0
    ),
    "a client tool called after the search": Row(
        tools(SEARCH, CLOCK),
        f"I look.\n{LOOK}",
        TIME,
        ["text", USE, RESULT, "tool_use"],
        "tool_use",
        "I look.",
    ),
    "a client tool called behind the search": Row(
        tools(SEARCH, CLOCK), f"{LOOK}\n{TIME}", "unused", [USE, "tool_use", RESULT], "tool_use"
    ),
    "a client tool called before the search": Row(
        tools(SEARCH, CLOCK), f"{TIME}\n{LOOK}", "unused", ["tool_use", USE, RESULT], "tool_use"
    ),
    "two searches at once": Row(
        tools(SEARCH),
        LOOK + "\n" + call("web_search", query="heron prey"),
        "It eats fish.",
        [USE, USE, RESULT, RESULT, "text"],
        "end_turn",
        "It eats fish.",
        searches=2,
    ),
    "two searches at once, one allowed": Row(
        tools({**SEARCH, "max_uses": 1}),
        LOOK + "\n" + call("web_search", query="heron prey"),
        "It eats fish.",
        [USE, USE, RESULT, RESULT, "text"],
        "end_turn",
        "It eats fish.",
    ),
    "a format": Row(tools(SEARCH, **FORMAT), LOOK, JSON, [USE, RESULT, "text"], "end_turn", JSON),
    "a format without a search": Row(tools(SEARCH, **FORMAT), JSON, "unused", ["text"], "end_turn", JSON, 0),
    "a format and a client tool": Row(
        tools(SEARCH, CLOCK, **FORMAT), LOOK, TIME, [USE, RESULT, "tool_use"], "tool_use"
    ),
    "thinking": Row(
        tools(SEARCH, **THINK),
        think("I should look.") + LOOK,
        think("Now I know.") + "It eats fish.",
        ["thinking", USE, RESULT, "thinking", "text"],
        "end_turn",
        "It eats fish.",
    ),
    "thinking before the search alone": Row(
        tools(SEARCH, **THINK),
        think("I should look.") + LOOK,
        "It eats fish.",
        ["thinking", USE, RESULT, "text"],
        "end_turn",
        "It eats fish.",
    ),
    "thinking and a format": Row(
        tools(SEARCH, **THINK, **FORMAT),
        think("I should look.") + LOOK,
        think("Now I know.") + JSON,
        ["thinking", USE, RESULT, "thinking", "text"],
        "end_turn",
        JSON,
    ),
    "thinking and a client tool": Row(
        tools(SEARCH, CLOCK, **THINK),
        think("I should look.") + LOOK,
        think("And the time?") + TIME,
        ["thinking", USE, RESULT, "thinking", "tool_use"],
        "tool_use",
    ),
    "a stop sequence after the search": Row(
        tools(SEARCH, stop_sequences=["fish"]),
        LOOK,
        "It eats fish.",
        [USE, RESULT, "text"],
        "stop_sequence",
        "It eats ",
        sequence="fish",
    ),
    "a stop sequence before the search": Row(
        tools(SEARCH, stop_sequences=["look"]),
        f"I look.\n{LOOK}",
        "unused",
        ["text"],
        "stop_sequence",
        "I ",
        searches=0,
        sequence="look",
    ),
    "a stop sequence in the results": Row(
        tools(SEARCH, stop_sequences=[FOUND]),
        LOOK,
        "It eats fish.",
        [USE, RESULT, "text"],
        "end_turn",
        "It eats fish.",
    ),
    "one call at a time": Row(
        tools(SEARCH, CLOCK, **ONE_CALL), LOOK, TIME, [USE, RESULT, "tool_use"], "tool_use"
    ),
    "one call at a time, the client's": Row(
        tools(SEARCH, CLOCK, **ONE_CALL), TIME, "unused", ["tool_use"], "tool_use", searches=0
    ),
    "one call at a time and a format": Row(
        tools(SEARCH, **ONE_CALL, **FORMAT), LOOK, JSON, [USE, RESULT, "text"], "end_turn", JSON
    ),
    "any tool": Row(
        tools(SEARCH, CLOCK, tool_choice={"type": "any"}),
        LOOK,
        "It eats fish.",
        [USE, RESULT, "text"],
        "end_turn",
        "It eats fish.",
    ),
    "the search demanded beside a client tool": Row(
        tools(SEARCH, CLOCK, tool_choice={"type": "tool", "name": "web_search"}),
        LOOK,
        TIME,
        [USE, RESULT, "tool_use"],
        "tool_use",
    ),
    "the client's tool demanded beside the search": Row(
        tools(SEARCH, CLOCK, tool_choice={"type": "tool", "name": "get_time"}),
        TIME,
        "unused",
        ["tool_use"],
        "tool_use",
        searches=0,
    ),
    "the search demanded with a format": Row(
        tools(SEARCH, tool_choice={"type": "tool", "name": "web_search"}, **FORMAT),
        LOOK,
        JSON,
        [USE, RESULT, "text"],
        "end_turn",
        JSON,
    ),
    "no tool": Row(
        tools(SEARCH, tool_choice={"type": "none"}),
        "It eats fish.",
        "unused",
        ["text"],
        "end_turn",
        "It eats fish.",
        searches=0,
    ),
    "a deferred tool found and called": Row(
        tools(FINDER, CLOCK, MAIL),
        call("tool_search_tool_bm25", query="electronic message"),
        "unused",
        [USE, "tool_search_tool_result", "tool_use"],
        "tool_use",
        searches=0,
        rules=[{"when": "Send an electronic message", "say": call("send_email")}],
    ),
    "a deferred tool found, with thinking and one call at a time": Row(
        tools(FINDER, CLOCK, MAIL, **THINK, **ONE_CALL),
        think("Which tool?") + call("tool_search_tool_bm25", query="electronic message"),
        "unused",
        ["thinking", USE, "tool_search_tool_result", "thinking", "tool_use"],
        "tool_use",
        searches=0,
        rules=[{"when": "Send an electronic message", "say": think("That.") + call("send_email")}],
    ),
    "a search and then a page": Row(
        tools(SEARCH, FETCH),
        LOOK,
        call("web_fetch", url="SITE/heron"),
        [USE, RESULT, USE, "web_fetch_tool_result", "text"],
        "end_turn",
        "In the reeds.",
        rules=[{"when": "The heron waits", "say": "In the reeds."}],
        content=f"{ASKED} See SITE/heron",
    ),
    "citations of a document and a search": Row(
        tools(SEARCH),
        LOOK,
        'It says: <cite n="2">fish</cite>.',
        [USE, RESULT, "text", "text", "text"],
        "end_turn",
        ".",
        content=[DOCUMENT, {"type": "text", "text": ASKED}],
    ),
    "a compaction before the search": Row(
        tools(SEARCH, **COMPACT),
        LOOK,
        "It eats fish.",
        ["compaction", USE, RESULT, "text"],
        "end_turn",
        "It eats fish.",
        rules=[
            {"when": f"{FOUND}.*", "say": "It eats fish."},
            {"when": "summary of this conversation", "say": f"They asked: {ASKED}"},
        ],
    ),
    "a compaction, thinking and a client tool": Row(
        tools(SEARCH, CLOCK, **COMPACT, **THINK),
        think("I should look.") + LOOK,
        "unused",
        ["compaction", "thinking", USE, RESULT, "tool_use"],
        "tool_use",
        rules=[
            {"when": f"{FOUND}.*", "say": TIME},
            {"when": "summary of this conversation", "say": think("What was it?") + f"They asked: {ASKED}"},
        ],
    ),
    "tokens that end after the search": Row(
        tools(SEARCH),
        LOOK,
        "It eats fish and frogs. " * 20,
        [USE, RESULT, "text"],
        "max_tokens",
        max_tokens=60,
    ),
    "tokens that end in the call": Row(
        tools(SEARCH), LOOK, "unused", [USE], "max_tokens", searches=0, max_tokens=20
    ),
}


@pytest.fixture(autouse=True)
def _fresh(services: SearchServices) -> None:
    services.mode = "ok"
    services.asked.clear()


def both(http: httpx.Client, body: Json) -> Iterator[Json]:
    """The reply as one message and as the message of its stream, which must be legal."""
    whole = http.post("/v1/messages", json=body)
    assert whole.status_code == 200, whole.text
    yield whole.json()
    streamed = http.post("/v1/messages", json=body | {"stream": True})
    events = parse_events(streamed.text)
    assert first_violation(events) is None
    yield accumulate(events)


def without_ids(message: Json) -> Json:
    """A message without ids, and without the counts of the cache, which knows a repeated prompt."""
    ids = re.compile(r'"(srvtoolu|toolu|msg)_[0-9a-f]{24}"')
    content = json.loads(ids.sub('"id"', json.dumps(message["content"])))
    for block in content:
        if isinstance(block.get("content"), dict):
            block["content"].pop("retrieved_at", None)
    usage = message["usage"]
    counts = (input_tokens(usage), usage["output_tokens"], usage["server_tool_use"])
    return {"content": content, "counts": counts, "stop": (message["stop_reason"], message["stop_sequence"])}


def input_tokens(usage: Json) -> int:
    return sum(count for name, count in usage.items() if name.endswith("input_tokens"))


def in_place(value: Any, site: str) -> Any:
    """A value of the table with the address of the page site."""
    return json.loads(json.dumps(value).replace("SITE", site))


CALL_OR_JSON = [
    ROWS[name]
    for name in (
        "a format",
        "a format and a client tool",
        "thinking and a format",
        "one call at a time and a format",
    )
]


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_combination_has_its_outcome_streamed_and_whole(
    row: Row, server: Server, http: httpx.Client, services: SearchServices, pages: PageSite
) -> None:
    if row in CALL_OR_JSON and compat.ToolStrictLevel is None:
        pytest.skip("this vLLM has no grammar for a call or JSON")
    rules = in_place(
        [*row.rules, {"when": FOUND, "say": row.second}, {"when": "heron", "say": row.first}], pages.url
    )
    message = {"role": "user", "content": in_place(row.content, pages.url)}
    body = {"model": "tiny", "max_tokens": row.max_tokens, "messages": [message], **row.fields}
    with server.playbook(rules):
        whole, streamed = both(http, body)
    assert [block["type"] for block in whole["content"]] == list(row.kinds), whole
    assert (whole["stop_reason"], whole["stop_sequence"]) == (row.stop, row.sequence)
    texts = [block["text"] for block in whole["content"] if block["type"] == "text"]
    assert row.text is None or texts[-1] == row.text
    assert len(services.queries) == 2 * row.searches
    assert without_ids(streamed) == without_ids(whole)
    usage = whole["usage"]
    rounds = [each for each in usage.get("iterations", [usage]) if each.get("type") != "compaction"]
    assert usage["output_tokens"] == sum(each["output_tokens"] for each in rounds)
    assert input_tokens(usage) == sum(map(input_tokens, rounds))
    assert (usage["server_tool_use"] or {"web_search_requests": 0})["web_search_requests"] == row.searches


@pytest.mark.parametrize("row", [ROWS["thinking"], ROWS["a client tool called behind the search"]])
def test_what_comes_back_in_the_next_turn_is_taken(row: Row, server: Server, http: httpx.Client) -> None:
    asked = {"role": "user", "content": ASKED}
    body = {"model": "tiny", "max_tokens": 300, "messages": [asked], **row.fields}
    rules = [{"when": FOUND, "say": row.second}, {"when": "heron", "say": row.first}]
    with server.playbook(rules):
        first = http.post("/v1/messages", json=body).json()
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "12:00"}
        for block in first["content"]
        if block["type"] == "tool_use"
    ]
    more = results or [{"type": "text", "text": "Thanks. And 12:00?"}]
    messages = [asked, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": more}]
    with server.playbook([{"when": f"{FOUND}.*12:00", "say": "It is noon."}]):
        reply = http.post("/v1/messages", json={**body, "messages": messages})
    assert reply.status_code == 200, reply.text
    assert reply.json()["content"][-1]["text"] == "It is noon."
