"""What vLLM refuses is refused by the name of the request's field."""

from collections.abc import Callable
from typing import Any

import pytest
from vllm.exceptions import VLLMValidationError
from vllm.v1.engine.exceptions import EngineGenerateError

from translate.conversations import conversation, user
from vllm_messages_plugin.engine.generate import _refusal, chat_request
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.wire.errors import MessagesError
from wire.bodies import body, read


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


def wrapped(raises: Callable[[], None]) -> Exception:
    """What vLLM's client of the engine raises for an exception that it does not know."""
    try:
        try:
            raises()
        except ValueError as error:
            raise EngineGenerateError from error
    except EngineGenerateError as failure:
        return failure
    raise AssertionError("nothing was raised")


def validate_grammar() -> None:
    raise ValueError("Grammar error: Invalid type: wish")


def decode() -> None:
    raise ValueError("a fault of the server")


def test_a_check_of_the_request_that_vllm_wraps_is_a_refusal() -> None:
    refusal = to_messages_error(wrapped(validate_grammar))
    assert (refusal.kind, refusal.message) == ("invalid_request_error", "Grammar error: Invalid type: wish")
    schema = _refusal(wrapped(validate_grammar), has_schema=True, extra={})
    assert (schema.status, schema.param) == (400, "output_config.format.schema")


def test_another_failure_that_vllm_wraps_stays_internal() -> None:
    failure = to_messages_error(wrapped(decode))
    assert (failure.kind, failure.message) == ("api_error", "Internal server error")


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
    refusal = _refusal(VLLMValidationError("no", parameter=field), has_schema=True, extra={})
    assert refusal.param == named
