"""What is read of logged requests and of the server's records."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.offline.record import Record, openai_tools, read_record
from vllm_messages_plugin.wire.errors import MessagesError

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOL = {"name": "Read", "description": "Reads.", "input_schema": SCHEMA}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOL]}


@pytest.mark.parametrize(
    "logged",
    [BODY, {"body": BODY}, {"request": BODY}, {"body": json.dumps(BODY)}, {"status": 400, "request": BODY}],
)
def test_a_request_is_found_however_it_was_logged(logged: dict[str, Any]) -> None:
    record = read_record(json.dumps(logged))
    assert record is not None
    assert record.request == BODY
    assert record.tools[0]["function"]["name"] == "Read"


def test_a_record_of_the_server_is_read_completely() -> None:
    logged = {
        "request": BODY,
        "prompt": "<|im_start|>...",
        "output_text": "Hm.</think>Hello",
        "reply": {"type": "message"},
        "format": "hermes_json",
        "tools": [{"type": "function", "function": {"name": "Read", "parameters": SCHEMA}}],
        "thinking_open": True,
    }
    record = read_record(json.dumps(logged))
    assert record == Record(
        request=BODY,
        output_text="Hm.</think>Hello",
        call_format="hermes_json",
        tools=tuple(logged["tools"]),
        thinking_open=True,
    )


@pytest.mark.parametrize("text", ["plain text", '{"name": "Read", "arguments": {}}', "[1, 2]", "", '"text"'])
def test_an_output_is_not_taken_for_a_record(text: str) -> None:
    assert read_record(text) is None


def test_tools_are_converted_from_anthropics_form() -> None:
    (tool,) = openai_tools([TOOL])
    assert tool["function"]["parameters"]["properties"] == SCHEMA["properties"]
    assert openai_tools([tool]) == [tool]


def test_anthropics_own_tools_are_known() -> None:
    (tool,) = openai_tools([{"type": "bash_20250124", "name": "bash"}])
    assert "command" in tool["function"]["parameters"]["properties"]


def test_a_tool_that_is_not_valid_is_refused() -> None:
    with pytest.raises(MessagesError, match="tools"):
        openai_tools([{"name": "Read", "input_schema": "none"}])
