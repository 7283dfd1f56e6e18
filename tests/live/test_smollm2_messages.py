"""The Messages routes with a real instruct model: grammars, and replies that need some knowledge."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pydantic
import pytest

from support.server import Server

PICK: dict[str, Any] = {
    "name": "pick",
    "description": "Pick a colour and a size.",
    "input_schema": {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "size": {"enum": [1, 2]}},
        "required": ["colour", "size"],
        "additionalProperties": False,
    },
}
ASK: dict[str, Any] = {
    "model": "smollm2",
    "max_tokens": 120,
    "messages": [{"role": "user", "content": "Pick the red one, size 2."}],
    "extra_body": {"temperature": 0},
}


@pytest.fixture
def client(smollm2_server: Server) -> Iterator[anthropic.Anthropic]:
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        base_url=smollm2_server.url, api_key="x", max_retries=0, timeout=120, http_client=transport
    ) as made:
        yield made


def test_the_model_knows_the_capital_of_france(client: anthropic.Anthropic) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    with client.messages.stream(**ASK | {"messages": question}) as events:
        assert "Paris" in "".join(events.text_stream)


@pytest.mark.parametrize("choice", [{"type": "tool", "name": "pick"}, {"type": "any"}])
@pytest.mark.parametrize("thinking", [None, {"type": "enabled", "budget_tokens": 1024}])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_demanded_call_follows_its_schema(
    client: anthropic.Anthropic, choice: dict[str, Any], thinking: dict[str, Any] | None, streamed: bool
) -> None:
    asked = ASK | {"tools": [PICK], "tool_choice": choice | {"disable_parallel_tool_use": True}}
    if thinking is not None:
        asked["thinking"] = thinking
    if streamed:
        with client.messages.stream(**asked) as events:
            reply = events.get_final_message()
    else:
        reply = client.messages.create(**asked)
    (block,) = reply.content
    assert (block.type, block.name, reply.stop_reason) == ("tool_use", "pick", "tool_use")
    assert block.input["colour"] in ("red", "green")
    assert block.input["size"] in (1, 2)


class Person(pydantic.BaseModel):
    name: str
    age: int


def test_parse_gives_an_object_of_the_schema(client: anthropic.Anthropic) -> None:
    question = [{"role": "user", "content": "Alice is 30 years old. Give her name and age as JSON."}]
    reply = client.messages.parse(**ASK | {"messages": question}, output_format=Person)
    assert isinstance(reply.parsed_output, Person)


def test_the_older_name_of_the_output_format_works(client: anthropic.Anthropic) -> None:
    extra = {"temperature": 0, "output_format": {"type": "json_schema", "schema": PICK["input_schema"]}}
    reply = client.messages.create(**ASK | {"extra_body": extra})
    assert set(json.loads(reply.content[0].text)) == {"colour", "size"}


def test_a_schema_that_no_grammar_knows_does_not_fail_a_demanded_call(client: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 7}}, "required": ["n"]}
    tool = {"name": "count", "description": "Count.", "input_schema": schema, "strict": True}
    reply = client.messages.create(
        **ASK | {"tools": [tool], "tool_choice": {"type": "tool", "name": "count"}}
    )
    assert reply.content[0].type == "tool_use"
    assert reply.content[0].name == "count"


def test_a_full_window_has_its_own_stop_reason(client: anthropic.Anthropic, smollm2_server: Server) -> None:
    filler = "Count on. " * ((smollm2_server.window - 120) // 3)
    counted = client.messages.count_tokens(model="smollm2", messages=[{"role": "user", "content": filler}])
    left = smollm2_server.window - counted.input_tokens
    assert 0 < left < 400
    extra = {"temperature": 0, "ignore_eos": True}
    reply = client.messages.create(
        **ASK | {"messages": [{"role": "user", "content": filler}], "max_tokens": 8192, "extra_body": extra}
    )
    assert reply.stop_reason == "model_context_window_exceeded"
    assert reply.usage.output_tokens == left


def test_prompted_tools_are_logged(smollm2_server: Server) -> None:
    assert "(tools prompted as text)" in smollm2_server.log_text()
