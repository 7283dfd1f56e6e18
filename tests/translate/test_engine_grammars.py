"""Grammars in vLLM's own field have the limits of other schemas; odd values are left to vLLM."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.translate.engine_grammars import (
    MAX_GRAMMAR_CHARACTERS,
    MAX_JSON_TEXT,
    check_engine_grammars,
)
from vllm_messages_plugin.translate.tools.schema_limits import MAX_PATTERN_LENGTH, MAX_VALUES
from vllm_messages_plugin.wire.errors import MessagesError

LONG: dict[str, Any] = {"type": "string", "pattern": "^[a-z]{1,5000}$"}
CONTENT = {"type": "json_schema", "json_schema": LONG}
TAG = {"type": "structural_tag", "format": {"type": "tag", "content": CONTENT}}
PATTERN_TAG = {"type": "structural_tag", "format": {"type": "regex", "pattern": "(a{1000}){1000}"}}


@pytest.mark.parametrize(
    ("grammars", "path"),
    [
        ({"json": LONG}, "structured_outputs.json.pattern"),
        ({"json": json.dumps(LONG)}, "structured_outputs.json.pattern"),
        ({"json": "[" * 10_000}, "structured_outputs.json"),
        ({"json": " " * (MAX_JSON_TEXT + 1)}, "structured_outputs.json"),
        ({"regex": ". " * MAX_PATTERN_LENGTH}, "structured_outputs.regex"),
        ({"regex": "[a-z]{1,5000}"}, "structured_outputs.regex"),
        ({"choice": ["x"] * (MAX_VALUES + 1)}, "structured_outputs.choice"),
        ({"structural_tag": json.dumps(TAG)}, "structured_outputs.structural_tag"),
        ({"structural_tag": TAG}, "structured_outputs.structural_tag"),
        ({"structural_tag": json.dumps(PATTERN_TAG)}, "structured_outputs.structural_tag"),
        ({"grammar": "x" * MAX_GRAMMAR_CHARACTERS}, "structured_outputs"),
    ],
)
def test_a_grammar_that_takes_long_is_refused(grammars: Any, path: str) -> None:
    with pytest.raises(MessagesError) as refused:
        check_engine_grammars({"structured_outputs": grammars})
    assert refused.value.status == 400
    assert refused.value.message.startswith(f"{path}")


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
        {"json": {"type": "object", "description": "x" * 100_000}},
        {"regex": 7},
        {"choice": "x"},
        {"structural_tag": "{"},
        {"structural_tag": [7, {"pattern": 7, "schema": "x"}]},
        {"json": {"type": "object"}, "regex": "[a-z]{1,20}", "choice": ["a"]},
    ],
)
def test_other_values_are_left_to_vllm(value: Any) -> None:
    check_engine_grammars({"structured_outputs": value, "response_format": value})
