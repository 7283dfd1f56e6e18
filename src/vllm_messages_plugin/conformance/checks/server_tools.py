"""Checks of what the server does besides generating: its own tools, citations and compaction.

A server need not have them, but then it must refuse them by name: a reply that ignores them would be taken
for the result.
"""

from collections.abc import Sequence
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    expect_error,
    expect_ok,
    require_finished,
    single_turn,
    stream_message,
)
from vllm_messages_plugin.conformance.checks.tools import WEATHER
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

REFUSED = "refused by name"
SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
FETCH: dict[str, Any] = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1}
FINDER: dict[str, Any] = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
PAGE = "https://example.com/"
HERONS = "The heron waits in the reeds. It eats fish and frogs. In winter it flies south."
DOCUMENT: dict[str, Any] = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": HERONS},
    "title": "Herons",
    "citations": {"enabled": True},
}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Remember: the heron waits in the reeds."},
    {"role": "assistant", "content": "I will."},
]
BRIEF = "Say in one short sentence what you were told to remember."
"""Instructions that also a slow server follows in time: the edit gives a summary thousands of tokens."""
COMPACT_BETAS = "compact-2026-01-12,compact-2026-09-04"


def _demanded(tool: dict[str, Any], text: str, *others: dict[str, Any]) -> dict[str, Any]:
    """A request that demands one call of a server tool."""
    choice = {"type": "tool", "name": tool["name"]}
    return single_turn(text, 300, temperature=0, tools=[tool, *others], tool_choice=choice)


def _reply(client: Client, body: dict[str, Any], named: str, **headers: str) -> dict[str, Any] | None:
    """The message of a reply; None where the server refuses the request by the name of what it lacks."""
    response = client.message(body, **headers)
    if response.status == 200:
        return require_finished(body, expect_ok(response, named), named)
    message = expect_error(response, 400, "invalid_request_error", named)
    expect(named in message, f"the refusal does not name {named}: {message[:120]}")
    return None


def _result(message: dict[str, Any], tool: str, kind: str) -> Any:
    """The content of the result block of a tool, which must stand behind its call."""
    content: Sequence[dict[str, Any]] = message["content"]
    calls = [block for block in content if block.get("type") == "server_tool_use"]
    results = [block for block in content if block.get("type") == kind]
    kinds = [block.get("type") for block in content]
    expect(calls and results, f"{tool} is answered without a call and its result, with {kinds}")
    expect(calls[0].get("name") == tool, f"the call is one of {calls[0].get('name')}")
    belongs_to = results[0].get("tool_use_id")
    expect(belongs_to == calls[0].get("id"), f"the result names the call {belongs_to!r}")
    return results[0].get("content")


def _expect_streamed_and_sent_back(
    client: Client, body: dict[str, Any], message: dict[str, Any], kind: str
) -> None:
    """Require that the stream has the result too, and that the content is taken in the next turn."""
    streamed = [block.get("type") for block in stream_message(client, body)["content"]]
    expect(kind in streamed, f"streamed: there is no {kind}, but {streamed}")
    turns = [
        *body["messages"],
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "Thanks."},
    ]
    again = {"max_tokens": 8, "tools": body["tools"], "messages": turns}
    expect_ok(client.message(again), f"the {kind} in the next turn")


def web_search(client: Client) -> Outcome:
    """A web search gives results or a typed error, streamed or not, and both can be sent back."""
    body = _demanded(SEARCH, "Search the web for vLLM and say what it is.")
    message = _reply(client, body, SEARCH["type"])
    if message is None:
        return passed(REFUSED)
    kind = "web_search_tool_result"
    found = _result(message, "web_search", kind)
    _expect_streamed_and_sent_back(client, body, message, kind)
    if isinstance(found, dict):
        return passed(f"the search was tried: {found.get('error_code')}")
    for hit in found:
        missing = {"url", "title", "encrypted_content", "page_age"} - hit.keys()
        expect(not missing, f"a hit has no {', '.join(sorted(missing))}: old SDKs take it for an error")
    used = ((message.get("usage") or {}).get("server_tool_use") or {}).get("web_search_requests")
    expect(used == 1, f"usage.server_tool_use.web_search_requests is {used}, not 1")
    return passed(f"{len(found)} results, also streamed, and sent back")


def web_fetch(client: Client) -> Outcome:
    """A page that the conversation names is fetched, or the failure is a typed error."""
    body = _demanded(FETCH, f"Fetch {PAGE} and say what it is for.")
    message = _reply(client, body, FETCH["type"])
    if message is None:
        return passed(REFUSED)
    kind = "web_fetch_tool_result"
    found = _result(message, "web_fetch", kind)
    expect(isinstance(found, dict), f"the content of the result is {found!r}")
    _expect_streamed_and_sent_back(client, body, message, kind)
    if found.get("type") != "web_fetch_result":
        return passed(f"the fetch was tried: {found.get('error_code')}")
    document = found.get("content") or {}
    expect(document.get("type") == "document", f"the page is no document, but {document.get('type')!r}")
    return passed(f"{found.get('url')} as a document, also streamed, and sent back")


def tool_search(client: Client) -> Outcome:
    """A search of deferred tools gives references to tools of the request."""
    deferred = {**WEATHER, "defer_loading": True}
    body = _demanded(FINDER, "Find the tool that gets the weather in a city.", deferred)
    message = _reply(client, body, FINDER["type"])
    if message is None:
        return passed(REFUSED)
    found = _result(message, FINDER["name"], "tool_search_tool_result")
    expect(isinstance(found, dict), f"the content of the result is {found!r}")
    if found.get("type") != "tool_search_tool_search_result":
        return passed(f"the search was tried: {found.get('error_code')}")
    names = [reference.get("tool_name") for reference in found.get("tool_references") or ()]
    expect(set(names) <= {WEATHER["name"]}, f"tools are found that the request has not: {names}")
    return passed(f"found: {', '.join(names) or 'none'}")


def citations(client: Client) -> Outcome:
    """What a citation quotes stands in the document, at the place it names."""
    question = {"type": "text", "text": "What does the heron eat? Cite the document."}
    body = {
        "max_tokens": 100,
        "temperature": 0,
        "messages": [{"role": "user", "content": [DOCUMENT, question]}],
    }
    message = _reply(client, body, "citations")
    if message is None:
        return passed(REFUSED)
    found = [citation for block in message["content"] for citation in block.get("citations") or ()]
    for citation in found:
        start, end = citation.get("start_char_index"), citation.get("end_char_index")
        quoted = HERONS[start:end] if isinstance(start, int) and isinstance(end, int) else None
        text = citation.get("cited_text")
        expect(text and text == quoted, f"{str(text)[:60]!r} is cited, which is not in the document there")
    return passed(f"{len(found)} citations" if found else "accepted; the model cites nothing")


def compaction(client: Client) -> Outcome:
    """A conversation is summarised in one block, which a later request may send in its place."""
    demanded = {"type": "summarize", "instructions": BRIEF}
    body = {"max_tokens": 300, "temperature": 0, "messages": TALK, "compaction": demanded}
    message = _reply(client, body, "compaction", anthropic_beta=COMPACT_BETAS)
    if message is None:
        return passed(REFUSED)
    summary = _only_compaction(message)
    turns = [{"role": "assistant", "content": message["content"]}, {"role": "user", "content": "Go on."}]
    later = client.message({"max_tokens": 8, "messages": turns}, anthropic_beta=COMPACT_BETAS)
    expect_ok(later, "the block in the next request")
    return passed("a summary" if summary else "the summary failed, and the block says so")


def compact_edit(client: Client) -> Outcome:
    """A conversation above the trigger of its edit is summarised, where the server has that edit."""
    edit: dict[str, Any] = {
        "type": "compact_20260112",
        "trigger": {"type": "input_tokens", "value": 1},
        "pause_after_compaction": True,
        "instructions": BRIEF,
    }
    body = {
        "max_tokens": 300,
        "temperature": 0,
        "messages": [*TALK, {"role": "user", "content": "Where does it wait?"}],
        "context_management": {"edits": [edit]},
    }
    message = _reply(client, body, edit["type"], anthropic_beta=COMPACT_BETAS)
    if message is None:
        return passed(REFUSED)
    if not any(block.get("type") == "compaction" for block in message["content"]):
        return passed("accepted; the edit has no effect")
    summary = _only_compaction(message)
    return passed("a summary" if summary else "the summary failed, and the block says so")


def _only_compaction(message: dict[str, Any]) -> str | None:
    """The summary of a message that must be one compaction block; None for one that failed."""
    kinds = [block.get("type") for block in message["content"]]
    expect(kinds == ["compaction"], f"the reply is no compaction block, but {kinds}: taken for the summary")
    stop = message.get("stop_reason")
    expect(stop == "compaction", f"the stop_reason is {stop}, not compaction")
    content = message["content"][0].get("content")
    expect(content is None or (isinstance(content, str) and content), f"the summary is {content!r}")
    return None if content is None else str(content)
