"""What vLLM refuses, told by the field's name; and the schemas that no grammar is made of."""

from typing import Any

import pytest
from vllm.exceptions import VLLMValidationError

from translate.asking import conversation, user
from vllm_messages_plugin.engine.generate import _refusal, chat_request
from vllm_messages_plugin.engine.output.grammars import strict_tools
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice
from vllm_messages_plugin.wire.errors import MessagesError
from wire.bodies import body, read

DEMANDED = ToolChoice("any")


@pytest.mark.parametrize(
    ("fields", "begins"),
    [
        ({"seed": 10**30}, "seed: "),
        ({"priority": "x"}, "priority: "),
        ({"vllm_xargs": [1]}, "vllm_xargs: "),
        ({"documents": [1]}, "documents.0: "),
        ({"bad_words": 3}, "bad_words: "),
    ],
)
def test_a_field_of_vllm_is_refused_by_name(fields: dict[str, Any], begins: str) -> None:
    asked = read(body(**fields))
    with pytest.raises(MessagesError) as refused:
        chat_request(conversation(user("Hi")), sampling(asked, 10), "m")
    assert (refused.value.status, refused.value.message[: len(begins)]) == (400, begins)


def test_a_field_that_vllm_names_heads_the_message() -> None:
    refusal = to_messages_error(VLLMValidationError("is empty", parameter="allowed_token_ids", value=[]))
    assert (refusal.kind, refusal.message) == ("invalid_request_error", "allowed_token_ids: is empty")


@pytest.mark.parametrize(
    ("field", "named"),
    [
        (None, "output_config.format.schema"),
        ("structured_outputs", "output_config.format.schema"),
        ("logit_bias", "logit_bias"),
    ],
)
def test_of_a_request_with_a_schema_the_schema_is_refused_unless_vllm_names_another(
    field: str | None, named: str
) -> None:
    refusal = _refusal(VLLMValidationError("no", parameter=field), has_schema=True)
    assert refusal.param == named


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def function(schema: dict[str, Any]) -> Function:
    return {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        (nested(3), True),
        (nested(60), False),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, True),
        ({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}, False),
        ({"$ref": "#"}, False),
    ],
    ids=["plain", "too deep", "recursive", "an endless property", "endless"],
)
def test_a_call_is_held_to_its_schema_where_the_engine_can(schema: dict[str, Any], held: bool) -> None:
    (bound,) = strict_tools([function(schema)], DEMANDED)
    assert bound["function"]["strict"] is held
