"""Fields that no prompt could hold are refused by their path."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.wire.blocks import MAX_FILE_ID
from vllm_messages_plugin.wire.errors import MAX_MESSAGE, MessagesError, invalid
from vllm_messages_plugin.wire.field_sizes import (
    MAX_FIELD_CHARACTERS,
    MAX_GRAMMAR_CHARACTERS,
    MAX_STOP_CHARACTERS,
    MAX_TOKEN_IDS,
    MAX_WORDS,
)
from vllm_messages_plugin.wire.request import MessagesRequest, parse

HI = {"role": "user", "content": "Hi"}
PLACE = "(place)"
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
            {"output_config": {"format": {"type": "json_schema", "schema": {"a": PLACE}}}},
        ),
        ("unknown", [HI], {"unknown": [[PLACE]]}),
        ("messages.1.content.0.tool_use.input", call(input={"a": PLACE}), {}),
        ("messages.1.content.0.tool_use.input", call(input={PLACE: 1}), {}),
        ("messages.0.content.0", [{"role": "user", "content": [{"type": PLACE}]}], {}),
        ("messages.0.content.0", [{"role": "user", "content": [{"type": "odd", "a": [PLACE]}]}], {}),
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
    ],
    ids=["user", "system", "image"],
)
def test_texts_and_pictures_may_be_longer(messages: list[Any], fields: dict[str, Any]) -> None:
    parsed("x" * (2 * MAX_FIELD_CHARACTERS), messages, fields)


@pytest.mark.parametrize("field", ["structured_outputs", "response_format"])
@pytest.mark.parametrize(
    "grammar", [{"regex": PLACE}, {"choice": [PLACE]}, {"structures": [{"begin": PLACE}]}]
)
def test_grammars_are_bounded(field: str, grammar: dict[str, Any]) -> None:
    parsed("x" * (MAX_GRAMMAR_CHARACTERS - 20), [HI], {field: grammar})
    found = refusal("x" * MAX_GRAMMAR_CHARACTERS, [HI], {field: grammar})
    assert found == f"{field}: Input should have at most {MAX_GRAMMAR_CHARACTERS} characters"


@pytest.mark.parametrize(
    ("field", "schema"), [("structured_outputs", "json"), ("response_format", "json_schema")]
)
def test_schemas_have_limits_of_their_own(field: str, schema: str) -> None:
    parsed("x" * (MAX_GRAMMAR_CHARACTERS + 1), [HI], {field: {schema: {"description": PLACE}}})


def test_the_id_of_a_file_is_bounded() -> None:
    blocks = [{"type": "document", "source": {"type": "file", "file_id": PLACE}}]
    parsed("x" * MAX_FILE_ID, [{"role": "user", "content": blocks}], {})
    found = refusal("x" * (MAX_FILE_ID + 1), [{"role": "user", "content": blocks}], {})
    path = "messages.0.content.0.document.source.file.file_id"
    assert found == f"{path}: String should have at most {MAX_FILE_ID} characters"


@pytest.mark.parametrize("field", ["stop_sequences", "stop", "bad_words"])
def test_words_are_bounded_together(field: str) -> None:
    half = "x" * (MAX_STOP_CHARACTERS // 2)
    parsed(half, [HI], {field: [PLACE, PLACE]})
    found = refusal(half, [HI], {field: [PLACE, PLACE, "x"]})
    assert found == f"{field}: at most {MAX_STOP_CHARACTERS} characters in all are allowed"


@pytest.mark.parametrize("field", ["stop", "bad_words"])
def test_the_words_for_vllm_are_bounded_in_number(field: str) -> None:
    parsed("x", [HI], {field: [PLACE] * MAX_WORDS})
    assert refusal("x", [HI], {field: [PLACE] * (MAX_WORDS + 1)}).startswith(
        f"{field}: List should have at most"
    )


@pytest.mark.parametrize(("field", "limit"), MAX_TOKEN_IDS.items())
def test_the_tokens_for_vllm_are_bounded_in_number(field: str, limit: int) -> None:
    parsed("x", [HI], {field: [1] * limit})
    found = refusal("x", [HI], {field: [1] * (limit + 1)})
    assert found == f"{field}: List should have at most {limit} items"


def test_a_single_word_for_vllm_is_bounded() -> None:
    assert refusal("x" * (MAX_STOP_CHARACTERS + 1), [HI], {"stop": PLACE}).startswith("stop: at most")


def test_an_error_does_not_repeat_a_long_value() -> None:
    assert invalid("x" * MAX_MESSAGE).message == "x" * MAX_MESSAGE
    long = invalid("x" * (2 * MAX_MESSAGE), "field").message
    assert long == "field: " + "x" * (MAX_MESSAGE - len("field: ")) + "…"
