"""Server tools, citations and compaction with the official TypeScript SDK: whole, streamed and sent back."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients import npm
from clients.program import PROGRAMS, run
from clients.test_typescript_sdk import PACKAGES
from support.page_site import PageSite
from support.search_services import PAGES, SearchServices
from support.server import Server

Json = dict[str, Any]

CLOCK = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
MAIL: Json = {**CLOCK, "name": "send_email", "description": "Send electronic mail.", "defer_loading": True}
DOCUMENT: Json = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "The owl sleeps. It hunts at night."},
    "title": "Owls",
    "citations": {"enabled": True},
}
COMPACT = {"anthropic-beta": "compact-2026-01-12,compact-2026-09-04"}


def edit(**fields: Any) -> Json:
    """A request whose conversation is compacted from the first token on."""
    trigger = {"type": "input_tokens", "value": 1}
    return {"context_management": {"edits": [{"type": "compact_20260112", "trigger": trigger, **fields}]}}


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@dataclass(frozen=True)
class Row:
    """A question, the fields of its request, what the reply has, and what the second turn says."""

    name: str
    question: Any
    fields: Json
    kinds: tuple[str, ...]
    stop: str = "end_turn"
    second: str = "It is done."


ROWS = (
    Row(
        "web_search",
        "Search for herons.",
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        ("server_tool_use", "web_search_tool_result", "text"),
    ),
    Row(
        "web_fetch",
        "Read SITE/heron now.",
        {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        ("server_tool_use", "web_fetch_tool_result", "text"),
    ),
    Row(
        "tool_search",
        "Which tool is for mail?",
        {
            "tools": [
                {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
                CLOCK,
                MAIL,
            ]
        },
        ("server_tool_use", "tool_search_tool_result", "tool_use"),
        "tool_use",
    ),
    Row(
        "citations", [DOCUMENT, {"type": "text", "text": "When does it hunt?"}], {}, ("text", "text", "text")
    ),
    Row(
        "compaction",
        "A long story of a stork.",
        {"compaction": {"type": "summarize"}},
        ("compaction",),
        "compaction",
    ),
    Row(
        "compact_20260112",
        "A short story of a crane.",
        edit(),
        ("compaction", "text"),
        second="The crane flies.",  # it is compacted again
    ),
)
RULES = [
    {"when": "And now.*summary of this conversation", "say": "A crane was asked about."},
    {"when": "And now[^?]*\\?[^?]*$", "say": "It is done."},
    {"when": "<summary>.*crane", "say": "The crane flies."},
    {"when": "stork.*summary of this conversation", "say": "A stork was told of."},
    {"when": "crane.*summary of this conversation", "say": "A crane was told of."},
    {"when": "Run pip install", "say": "It waits."},
    {"when": "Search for herons", "say": call("web_search", query="heron")},
    {"when": "The heron waits", "say": "It waits in the reeds."},
    {"when": "Read http", "say": call("web_fetch", url="SITE/heron")},
    {"when": "Send electronic mail", "say": call("send_email")},
    {"when": "Which tool", "say": call("tool_search_tool_bm25", query="electronic mail")},
    {"when": "When does it hunt", "say": 'It hunts <cite n="2">at night</cite>, they say.'},
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.program(PROGRAMS / "typescript_sdk.mjs", tmp_path_factory.mktemp("typescript"), *PACKAGES)


@pytest.fixture(scope="module")
def outcomes(program: Path, server: Server, services: SearchServices, pages: PageSite) -> dict[str, Json]:
    """The messages of each row: `whole`, `streamed` and `second`, the reply of the next turn."""
    services.mode = "ok"
    asked = [
        {
            "asked": {
                "model": server.model,
                "max_tokens": 300,
                "messages": [{"role": "user", "content": row.question}],
                **row.fields,
            },
            "headers": COMPACT,
            "next": "And now?",
        }
        for row in ROWS
    ]
    asked, rules = json.loads(json.dumps([asked, RULES]).replace("SITE", pages.url))
    with server.playbook(rules):
        found = run(["node", program], server, ["turns", asked])
    return {row.name: outcome for row, outcome in zip(ROWS, found, strict=True)}


def comparable(message: Json) -> Any:
    """A message without ids, times and the counts of the cache, which knows a repeated prompt."""
    text = re.sub(r'"(srvtoolu|toolu|msg)_[0-9a-f]{24}"', '"id"', json.dumps(message["content"]))
    content = json.loads(re.sub(r'"retrieved_at": "[^"]*"', '"retrieved_at": ""', text))
    usage = message["usage"]
    counts = usage["output_tokens"], usage["server_tool_use"], len(usage.get("iterations") or ())
    return content, message["stop_reason"], counts


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_reply_is_the_same_streamed_and_whole(row: Row, outcomes: dict[str, Json]) -> None:
    whole, streamed = (outcomes[row.name][form] for form in ("whole", "streamed"))
    assert tuple(block["type"] for block in whole["content"]) == row.kinds
    assert whole["stop_reason"] == row.stop
    assert comparable(streamed) == comparable(whole)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_content_is_taken_in_the_next_turn(row: Row, outcomes: dict[str, Json]) -> None:
    second = outcomes[row.name]["second"]
    assert second["content"][-1]["text"] == row.second, second


def test_the_results_are_those_of_the_services(outcomes: dict[str, Json], pages: PageSite) -> None:
    (_, found, _) = outcomes["web_search"]["streamed"]["content"]
    assert [hit["url"] for hit in found["content"]] == [page["url"] for page in PAGES]
    (_, page, _) = outcomes["web_fetch"]["streamed"]["content"]
    assert page["content"]["url"] == f"{pages.url}/heron"
    (_, references, _) = outcomes["tool_search"]["streamed"]["content"]
    assert references["content"]["tool_references"] == [{"type": "tool_reference", "tool_name": "send_email"}]
    (_, cited, _) = outcomes["citations"]["streamed"]["content"]
    assert cited["citations"][0]["cited_text"].strip() == "It hunts at night."
    (summary,) = outcomes["compaction"]["streamed"]["content"]
    assert summary["content"] == "A stork was told of."


LOOK = call("look", place="Oslo")


@pytest.mark.parametrize("streamed", [False, True])
def test_its_tool_runner_compacts_on_demand(program: Path, server: Server, streamed: bool) -> None:
    rules = [
        {"when": "<summary>.*A heron was found", "say": "It is a heron."},
        {"when": "summary of this conversation", "say": "A heron was found."},
        {"when": "Which bird", "say": LOOK},
    ]
    asked = {
        "model": server.model,
        "max_tokens": 300,
        "messages": [{"role": "user", "content": "Which bird is it?"}],
        "betas": ["compact-2026-09-04"],
        "streamed": streamed,
        "onDemand": True,
    }
    with server.playbook(rules):
        messages = run(["node", program], server, ["compaction", asked])
    assert [message["stop_reason"] for message in messages] == ["tool_use", "compaction", "end_turn"]
    assert messages[-1]["content"][0]["text"] == "It is a heron."


@pytest.mark.parametrize("streamed", [False, True])
def test_its_tool_runner_resumes_behind_a_compaction_that_paused(
    program: Path, server: Server, streamed: bool
) -> None:
    rules = [
        {"when": "<summary>.*A bird is looked for.*There is a heron", "say": "It is a heron."},
        {"when": "<summary>.*A bird is looked for", "say": LOOK},
        {"when": "summary of this conversation", "say": "A bird is looked for."},
    ]
    asked = {
        "model": server.model,
        "max_tokens": 300,
        "messages": [{"role": "user", "content": "Which bird is it? " * 300}],
        "betas": ["compact-2026-01-12"],
        "streamed": streamed,
        **json.loads(json.dumps(edit(pause_after_compaction=True)).replace('"value": 1', '"value": 1000')),
    }
    with server.playbook(rules):
        messages = run(["node", program], server, ["compaction", asked])
    assert [message["stop_reason"] for message in messages] == ["compaction", "tool_use", "end_turn"]
    assert messages[-1]["content"][0]["text"] == "It is a heron."
