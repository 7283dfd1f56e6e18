"""Field reports about the engine side: each as a request to the real server with the scripted model."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

pytestmark = pytest.mark.live

BASH = {
    "name": "Bash",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}
PICK = {
    "name": "pick",
    "input_schema": {
        "type": "object",
        "properties": {"number": {"type": "integer", "enum": [1, 2]}},
        "required": ["number"],
        "additionalProperties": False,
    },
}
CALL = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
# The template opens thinking itself unless it is switched off.
OPENS = tiny.template_text("qwen_like").replace(
    "{%- if enable_thinking is defined and not enable_thinking -%}\n{{ '<think>\\n\\n</think>\\n\\n' }}",
    "{%- if enable_thinking is not defined or enable_thinking -%}\n{{ '<think>\\n' }}",
)


def ask(http: httpx.Client, script: str | None = None, **fields: Any) -> dict[str, Any]:
    """The reply to a request; streamed and not streamed it must be the same."""
    body = {"model": "tiny", "max_tokens": 400, "messages": [{"role": "user", "content": "hi"}]} | fields
    if script is not None:
        body["vllm_xargs"] = {"script": script}
    reply = http.post("/v1/messages", json=body)
    assert reply.status_code == 200, reply.text
    message: dict[str, Any] = reply.json()
    if script is not None:
        streamed = http.post("/v1/messages", json=body | {"stream": True}).text
        assert f'"stop_reason":"{message["stop_reason"]}"' in streamed.replace(" ", "")
        kinds = [block["type"] for block in message["content"]]
        assert streamed.count("event: content_block_start") == len(kinds)
    return message


def blocks(message: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each block as its type and its content."""
    field = {"text": "text", "thinking": "thinking", "tool_use": "input"}
    return [(block["type"], block[field[block["type"]]]) for block in message["content"]]


THINKS = {"type": "enabled", "budget_tokens": 1024}


def test_a_stop_sequence_in_thinking_does_not_end_the_reply(http: httpx.Client) -> None:
    script = "<think>\nThe Question: is easy.\n</think>\n\nForty two."
    message = ask(http, script, max_tokens=2000, thinking=THINKS, stop_sequences=["Question:"])
    assert blocks(message) == [("thinking", "The Question: is easy."), ("text", "Forty two.")]
    assert message["stop_reason"] == "end_turn"


def test_a_stop_sequence_in_arguments_does_not_end_the_call(http: httpx.Client) -> None:
    message = ask(http, CALL, tools=[BASH], stop_sequences=["ls"])
    assert blocks(message) == [("tool_use", {"command": "ls"})]
    assert message["stop_reason"] == "tool_use"


def test_a_stop_sequence_in_the_text_cuts_it_exactly(http: httpx.Client) -> None:
    message = ask(http, "It is END of it.", stop_sequences=["XX", "END"])
    assert blocks(message) == [("text", "It is ")]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


def test_with_tool_choice_none_what_looks_like_a_call_is_text(http: httpx.Client) -> None:
    message = ask(http, CALL, tools=[BASH], tool_choice={"type": "none"})
    assert blocks(message) == [("text", CALL)]
    assert message["stop_reason"] == "end_turn"


def test_a_request_without_tools_gets_no_tool_use(http: httpx.Client) -> None:
    script = f"It writes {CALL} and stops."
    message = ask(http, script)
    assert blocks(message) == [("text", script)]
    assert message["stop_reason"] == "end_turn"


def test_a_call_that_the_model_left_unfinished_is_no_tool_use_turn(http: httpx.Client) -> None:
    message = ask(http, '<tool_call>\n{"name": "Bash", "arguments": {"command": "rm -rf /tmp/a', tools=[BASH])
    assert message["stop_reason"] == "max_tokens"


def test_thinking_that_repeats_itself_is_closed(server: Server, http: httpx.Client) -> None:
    rules = [
        {"when": r"Circle[\s\S]*</think>\n\n$", "say": "Done."},
        {"when": "Circle", "say": "<think>\n" + "Wait, no. " * 200, "end": "none"},
    ]
    with server.playbook(rules):
        message = ask(
            http,
            thinking={"type": "adaptive"},
            messages=[{"role": "user", "content": "Circle."}],
            max_tokens=3000,
        )
    (kind, thinking), rest = blocks(message)[0], blocks(message)[1:]
    assert kind == "thinking"
    assert 10 < thinking.count("Wait") < 30
    assert rest == [("text", "Done.")]


@pytest.fixture(scope="module")
def opens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server whose template opens thinking itself."""
    home = tmp_path_factory.mktemp("opens")
    with (
        start_server(tiny.model_directory(OPENS), "--dtype", "float32", home=home) as server,
        httpx.Client(base_url=server.url, timeout=120) as client,
    ):
        yield client


@pytest.mark.parametrize("thinking", [{"type": "disabled"}, None], ids=["disabled", "not asked for"])
def test_a_demanded_call_comes_from_a_template_that_opens_thinking(
    opens: httpx.Client, thinking: dict[str, Any] | None
) -> None:
    fields = {} if thinking is None else {"thinking": thinking}
    choice = {"type": "any", "disable_parallel_tool_use": True}
    message = ask(opens, tools=[PICK], tool_choice=choice, temperature=1, seed=3, **fields)
    ((kind, arguments),) = blocks(message)
    assert (kind, message["stop_reason"]) == ("tool_use", "tool_use")
    assert arguments["number"] in (1, 2)


def test_a_demanded_call_comes_after_thinking_where_it_is_on(opens: httpx.Client) -> None:
    call = '<tool_call>\n{"name": "pick", "arguments": {"number": 2}}\n</tool_call>'
    script = f"Two.\n</think>\n\n{call}"
    message = ask(opens, script, tools=[PICK], tool_choice={"type": "any"}, thinking={"type": "adaptive"})
    assert blocks(message) == [("thinking", "Two."), ("tool_use", {"number": 2})]


def test_schemas_are_enforced_but_for_the_keyword_that_no_grammar_knows(http: httpx.Client) -> None:
    properties = {
        "day": {"type": "string", "format": "uri", "minLength": 1, "enum": ["mon", "tue"]},
        "count": {"type": "integer", "multipleOf": 3, "enum": [3, 6]},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["day", "count"],
        "additionalProperties": False,
        "propertyNames": {"pattern": "^[a-z]+$"},
    }
    tool = {"name": "plan", "input_schema": schema}
    message = ask(http, tools=[tool], tool_choice={"type": "any"}, temperature=1, seed=5)
    ((kind, arguments),) = blocks(message)
    assert kind == "tool_use", json.dumps(message)
    assert arguments["day"] in ("mon", "tue")
    assert arguments["count"] in (3, 6)
