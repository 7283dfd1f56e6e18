"""A template that refuses turns that don't alternate, behind an API key, with a small window."""

from typing import Any

import httpx
import pytest
from wire_checks import parse

from support.server import Server

TOOL = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a cat", "is_error": True}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


CONVERSATIONS: list[list[dict[str, Any]]] = [
    [user("a"), user("b")],
    [{"role": "system", "content": "s"}, user("a")],
    [user("a"), {"role": "system", "content": "s"}],
    [
        user("a"),
        {"role": "system", "content": "s"},
        assistant("b"),
        {"role": "system", "content": "t"},
        user("c"),
    ],
    [assistant("a"), user("b")],
    [user("a"), assistant([USE]), user([RESULT])],
    [user("a"), assistant([USE]), user([{"type": "text", "text": "and"}, RESULT]), user("b")],
    [
        user("a"),
        assistant([{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]),
        user("b"),
    ],
    [user(""), assistant("a"), user("b")],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_any_order_of_roles_gets_a_reply(strict_http: httpx.Client, messages: list[dict[str, Any]]) -> None:
    body = {"model": "tiny", "max_tokens": 20, "system": "head", "tools": [TOOL], "messages": messages}
    answer = strict_http.post("/v1/messages", json=body | {"vllm_xargs": {"script": "Yes."}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"] == [{"type": "text", "text": "Yes."}]


def test_tools_work_as_text_if_the_template_does_not_render_them(strict_http: httpx.Client) -> None:
    call = 'Let me see.\n<tool_call>\n{"name": "look", "arguments": {"at": "the box"}}\n</tool_call>'
    body = {"model": "tiny", "max_tokens": 60, "tools": [TOOL], "messages": [user("What is in the box?")]}
    reply = strict_http.post("/v1/messages", json=body | {"vllm_xargs": {"script": call}}).json()
    text, use = reply["content"]
    assert text["text"].strip() == "Let me see."
    assert (use["name"], use["input"], reply["stop_reason"]) == ("look", {"at": "the box"}, "tool_use")


KEYS = [
    ({}, 401),
    ({"x-api-key": "a-secret-key"}, 200),
    ({"authorization": "Bearer a-secret-key"}, 200),
    ({"x-api-key": "a-secret-key", "authorization": "Bearer wrong"}, 200),
    ({"x-api-key": "wrong", "authorization": "Bearer a-secret-key"}, 200),
    ({"x-api-key": "wrong"}, 401),
    ({"authorization": "Bearer wrong"}, 401),
]


@pytest.mark.parametrize(("headers", "status"), KEYS)
def test_a_right_key_in_either_header_is_enough(
    strict_server: Server, headers: dict[str, str], status: int
) -> None:
    body = {"model": "tiny", "messages": [user("x")]}
    url = f"{strict_server.url}/v1/messages/count_tokens"
    answer = httpx.post(url, json=body, headers=headers, trust_env=False)
    assert answer.status_code == status
    assert answer.headers["request-id"].startswith("req_")
    if status == 401:
        assert answer.json()["error"]["type"] == "authentication_error"
        assert answer.headers["x-should-retry"] == "false"


def test_the_warm_up_request_needs_no_key(strict_server: Server) -> None:
    assert httpx.head(f"{strict_server.url}/", trust_env=False).status_code == 200


def test_a_full_window_has_its_own_stop_reason(strict_http: httpx.Client, strict_server: Server) -> None:
    body = {"model": "tiny", "messages": [user("word " * (strict_server.window - 60))]}
    count = strict_http.post("/v1/messages/count_tokens", json=body).json()["input_tokens"]
    endless = {"max_tokens": 5000, "vllm_xargs": {"script": "on", "script_end": "none"}}
    reply = strict_http.post("/v1/messages", json=body | endless).json()
    assert reply["stop_reason"] == "model_context_window_exceeded"
    assert reply["usage"]["output_tokens"] == strict_server.window - count


def test_pings_are_sent_while_a_model_is_slow(strict_http: httpx.Client) -> None:
    script = {"script": "Slow.", "script_delay_ms": 1500}
    body = {"model": "tiny", "max_tokens": 10, "stream": True, "messages": [user("x")], "vllm_xargs": script}
    events = parse(strict_http.post("/v1/messages", json=body).text)
    kinds = [event["type"] for event in events]
    assert kinds.count("ping") >= 2
    assert kinds.index("ping") < kinds.index("message_start") < kinds.index("message_stop")


def test_priority_and_rank_headers_are_accepted(strict_http: httpx.Client) -> None:
    body = {"model": "tiny", "max_tokens": 10, "messages": [user("x")], "vllm_xargs": {"script": "Yes."}}
    headers = {"x-vllm-priority": "3", "x-data-parallel-rank": "0", "traceparent": "00-0-0-00"}
    assert strict_http.post("/v1/messages", json=body | {"priority": 2}, headers=headers).status_code == 200
