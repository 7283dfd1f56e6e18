"""Fields that no prompt could hold are refused by their path."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.wire.blocks import MAX_FILE_ID
from vllm_messages_plugin.wire.errors import MAX_MESSAGE, MessagesError, invalid
from vllm_messages_plugin.wire.field_sizes import (
    MAX_BAD_WORDS,
    MAX_FIELD_CHARACTERS,
    MAX_TOKEN_IDS,
    MAX_WORD_CHARACTERS,
)
from vllm_messages_plugin.wire.request import MessagesRequest, parse

HI = {"role": "user", "content": "Hi"}
PLACE = "(place)"
SCHEMA = {"format": {"type": "json_schema", "schema": {"a": PLACE}}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PLACE}}


def parsed(text: str, messages: list[Any], fields: dict[str, Any]) -> MessagesRequest:
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": messages} | fields)
    return parse(body.replace(PLACE, text).encode(), MessagesRequest)


def refusal(text: str, messages: list[Any], fields: dict[str, Any]) -> str:
    with pytest.raises(MessagesError) as refused:
        parsed(text, messages, fields)
    assert refused.value.status == 400
    return refused.value.message


def call(**fields: Any) -> list[Any]:
    return [
        HI,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "n", **fields}]},
        HI,
    ]


@pytest.mark.parametrize(
    ("path", "messages", "fields"),
    [
        ("tools", [HI], {"tools": [{"name": "t", "input_schema": {"pattern": PLACE}}]}),
        ("tools", [HI], {"tools": [{"name": "t", "input_schema": {}, "description": PLACE}]}),
        ("tools", [HI], {"tools": [{"name": "t", "input_schema": {PLACE: 1}}]}),
        ("tool_choice", [HI], {"tool_choice": {"type": "tool", "name": PLACE}}),
        (
            "output_config",
            [HI],
            {"output_config": SCHEMA},
        ),
        ("unknown", [HI], {"unknown": [[PLACE]]}),
        ("messages.1.content.0.tool_use.input", call(input={"a": PLACE}), {}),
        ("messages.1.content.0.tool_use.input", call(input={PLACE: 1}), {}),
        (
            "messages.0.content.0.tool_addition.tool",
            [{"role": "system", "content": [{"type": "tool_addition", "tool": {"a": PLACE}}]}, HI],
            {},
        ),
        ("messages.0.output_config", [HI | {"output_config": SCHEMA}], {}),
    ],
)
def test_a_field_that_is_too_long_is_refused(path: str, messages: list[Any], fields: dict[str, Any]) -> None:
    found = refusal("x" * (MAX_FIELD_CHARACTERS + 1), messages, fields | {"metadata": {"user_id": "u"}})
    assert found == f"{path}: Input should have at most {MAX_FIELD_CHARACTERS} characters"
    parsed("x" * (MAX_FIELD_CHARACTERS - 100), messages, fields)


def test_tools_count_together() -> None:
    tools = [{"name": f"t{n}", "description": PLACE, "input_schema": {}} for n in range(4)]
    assert refusal("x" * (MAX_FIELD_CHARACTERS // 4), [HI], {"tools": tools}).startswith("tools: ")


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ([{"role": "user", "content": PLACE}], {}),
        ([HI], {"system": PLACE}),
        ([{"role": "user", "content": [PICTURE]}], {}),
        ([{"role": "assistant", "content": [{"type": "web_fetch_tool_result", "content": PICTURE}]}, HI], {}),
    ],
    ids=["user", "system", "image", "fetched page"],
)
def test_texts_and_pictures_may_be_longer(messages: list[Any], fields: dict[str, Any]) -> None:
    parsed("x" * (2 * MAX_FIELD_CHARACTERS), messages, fields)


def test_the_id_of_a_file_is_bounded() -> None:
    blocks = [{"type": "document", "source": {"type": "file", "file_id": PLACE}}]
    parsed("x" * MAX_FILE_ID, [{"role": "user", "content": blocks}], {})
    found = refusal("x" * (MAX_FILE_ID + 1), [{"role": "user", "content": blocks}], {})
    path = "messages.0.content.0.document.source.file.file_id"
    assert found == f"{path}: String should have at most {MAX_FILE_ID} characters"


@pytest.mark.parametrize("field", ["stop_sequences", "bad_words"])
def test_words_are_bounded_together(field: str) -> None:
    half = "x" * (MAX_WORD_CHARACTERS // 2)
    parsed(half, [HI], {field: [PLACE, PLACE]})
    found = refusal(half, [HI], {field: [PLACE, PLACE, "x"]})
    assert found == f"{field}: at most {MAX_WORD_CHARACTERS} characters in all are allowed"


def test_bad_words_are_bounded_in_number() -> None:
    parsed("x", [HI], {"bad_words": [PLACE] * MAX_BAD_WORDS})
    found = refusal("x", [HI], {"bad_words": [PLACE] * (MAX_BAD_WORDS + 1)})
    assert found == f"bad_words: List should have at most {MAX_BAD_WORDS} items"


def test_fields_of_vllm_that_are_not_used_are_not_looked_at() -> None:
    parsed("x", [HI], {"stop": ["x"] * 1_000, "response_format": {"a": "x" * 100_000}})


@pytest.mark.parametrize(("field", "limit"), MAX_TOKEN_IDS.items())
def test_the_tokens_for_vllm_are_bounded_in_number(field: str, limit: int) -> None:
    parsed("x", [HI], {field: [1] * limit})
    found = refusal("x", [HI], {field: [1] * (limit + 1)})
    assert found == f"{field}: List should have at most {limit} items"


def test_an_error_does_not_repeat_a_long_value() -> None:
    assert invalid("x" * MAX_MESSAGE).message == "x" * MAX_MESSAGE
    long = invalid("x" * (2 * MAX_MESSAGE), "field").message
    assert long == "field: " + "x" * (MAX_MESSAGE - len("field: ")) + "…"
