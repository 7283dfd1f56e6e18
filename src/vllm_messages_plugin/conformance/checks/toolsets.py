"""Checks of tools other than plain functions: deferred tools, Anthropic's client tools, server tools."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    calls_of,
    expect_error,
    expect_ok,
    input_total,
    require_finished,
    single_turn,
)
from vllm_messages_plugin.conformance.checks.tools import QUESTION, WEATHER
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed, skipped
from vllm_messages_plugin.conformance.structure import TOKEN_COUNT, expect_fit

PLACEHOLDER = {
    "name": "DeferredToolPlaceholder",
    "description": "Stands where a tool is not shown yet. " * 8,
    "input_schema": {"type": "object", "properties": {}},
    "defer_loading": True,
}
BASH = {"type": "bash_20250124", "name": "bash"}
SEARCH_PROMPT = "Perform a web search for the query: vLLM"  # as Claude Code words it
SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
DUPLICATES = single_turn(QUESTION, 1, tools=[WEATHER, WEATHER])


def deferred(client: Client) -> Outcome:
    """A deferred tool is not shown to the model: it costs no tokens until something names it."""
    shown = _counted(client, [WEATHER])
    hidden = _counted(client, [WEATHER, PLACEHOLDER])
    expect(shown == hidden, f"a deferred tool costs {hidden - shown} tokens: it is shown to the model")
    return passed(f"{shown} tokens with and without it")


def _counted(client: Client, tools: list[dict[str, Any]]) -> int:
    body = {"messages": single_turn(QUESTION, 1)["messages"], "tools": tools}
    counted = expect_ok(client.message(body, path=f"{MESSAGES}/count_tokens"), "count_tokens")
    expect_fit(counted, TOKEN_COUNT, "count_tokens")
    return int(counted["input_tokens"])


def client_tools(client: Client) -> Outcome:
    """A client tool of Anthropic's is offered with the schema of its type."""
    body = single_turn("List the files.", 200, tools=[BASH], tool_choice={"type": "tool", "name": "bash"})
    calls = calls_of(require_finished(body, expect_ok(client.message(body), BASH["type"]), "bash"))
    expect(len(calls) == 1, f"{len(calls)} calls of bash")
    given = calls[0].get("input")
    expect(isinstance(given, dict), f"bash is called with {given!r}")
    if not given:
        return skipped("bash is called with {}, which does not show its schema")
    known = {"command", "restart"}
    expect(
        set(given or ()) <= known,
        f"bash is called with {sorted(given or ())}, not {' or '.join(sorted(known))}",
    )
    return passed(f"bash({', '.join(given or ())})")


def server_tools(client: Client) -> Outcome:
    """A server tool is run, or refused by name; it is never ignored."""
    choice = {"type": "tool", "name": "web_search"}
    body = single_turn(SEARCH_PROMPT, 200, tools=[SEARCH], tool_choice=choice)
    response = client.message(body)
    if response.status == 200:
        reply = expect_ok(response, "web search")
        kinds = [block.get("type") for block in reply.get("content") or ()]
        expect(
            "web_search_tool_result" in kinds,
            f"web_search is answered without a search, with {kinds}: the model makes things up",
        )
        result = reply["content"][kinds.index("web_search_tool_result")]["content"]
        if isinstance(result, dict):
            return passed(f"the search was tried: {result.get('error_code')}")
        return passed(f"the server searches: {len(result)} results")
    message = expect_error(response, 400, "invalid_request_error", "web search")
    expect(SEARCH["type"] in message, f"the refusal does not name {SEARCH['type']}: {message[:120]}")
    return passed("refused by name")


def tool_errors(client: Client) -> Outcome:
    """Two tools of one name, and a choice of a tool that is not offered, are refused by name."""
    duplicates = expect_error(
        client.message(DUPLICATES), 400, "invalid_request_error", "two tools of one name"
    )
    expect("unique" in duplicates, f"two tools of one name: the message is {duplicates[:120]!r}")
    body = single_turn(QUESTION, 1, tools=[WEATHER], tool_choice={"type": "tool", "name": "no_such_tool"})
    missing = expect_error(client.message(body), 400, "invalid_request_error", "a tool that is not there")
    expect("no_such_tool" in missing, f"a tool that is not there: the message is {missing[:120]!r}")
    return passed("a name twice, a name that is not there")


def tools_counted(client: Client) -> Outcome:
    """Tools are charged for: a request with one has more input tokens than one without."""
    plain = expect_ok(client.message(single_turn(QUESTION, 1)), "without tools").get("usage") or {}
    with_tools = (
        expect_ok(client.message(single_turn(QUESTION, 1, tools=[WEATHER])), "with a tool").get("usage") or {}
    )
    more = input_total(with_tools) - input_total(plain)
    expect(more > 0, f"a tool adds {more} input tokens: the model does not see it")
    return passed(f"a tool adds {more} tokens")
