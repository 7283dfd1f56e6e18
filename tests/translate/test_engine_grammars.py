"""Grammars in vLLM's own fields have the limits of other schemas; odd values are left to vLLM."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.translate.engine_grammars import check_engine_grammars
from vllm_messages_plugin.translate.tools.schema_limits import MAX_PATTERN_LENGTH, MAX_VALUES
from vllm_messages_plugin.wire.errors import MessagesError

LONG: dict[str, Any] = {"type": "string", "pattern": "^[a-z]{1,5000}$"}


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("structured_outputs", {"json": LONG}, "structured_outputs.json.pattern"),
        ("structured_outputs", {"json": json.dumps(LONG)}, "structured_outputs.json.pattern"),
        ("structured_outputs", {"regex": ". " * MAX_PATTERN_LENGTH}, "structured_outputs.regex"),
        ("structured_outputs", {"regex": "[a-z]{1,5000}"}, "structured_outputs.regex"),
        ("structured_outputs", {"choice": ["x"] * (MAX_VALUES + 1)}, "structured_outputs.choice"),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "n", "schema": LONG}},
            "response_format.json_schema.schema.pattern",
        ),
    ],
)
def test_a_grammar_that_takes_long_is_refused(field: str, value: Any, path: str) -> None:
    with pytest.raises(MessagesError) as refused:
        check_engine_grammars({field: value})
    assert refused.value.status == 400
    assert refused.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "x",
        [],
        {},
        {"json": "{"},
        {"json": 7},
        {"regex": 7},
        {"choice": "x"},
        {"json_schema": "x"},
        {"json": {"type": "object"}, "regex": "[a-z]{1,20}", "choice": ["a"]},
    ],
)
def test_other_values_are_left_to_vllm(value: Any) -> None:
    check_engine_grammars({"structured_outputs": value, "response_format": value})
