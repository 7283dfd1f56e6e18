"""Schemas of tools are enforced as far as a grammar can express them, with the real compiler."""

import logging
from typing import Any

import pytest

from vllm_messages_plugin.engine.output.grammars import has_grammar, strict_tools
from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice

DEMANDED, FREE = ToolChoice("any"), ToolChoice("auto")


def function(parameters: Any, **fields: Any) -> Function:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **fields}}  # type: ignore[typeddict-item]


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "required": list(schemas)}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = properties(a=schema)
    return schema


def enforced(parameters: Any) -> Any:
    (tool,) = strict_tools([function(parameters)], DEMANDED)
    assert tool["function"]["strict"] is True
    return tool["function"]["parameters"]


@pytest.mark.parametrize(
    "schema",
    [
        properties(city={"type": "string", "minLength": 1}, days={"type": "integer", "minimum": 0}),
        properties(z={"type": "string"}, a={"enum": ["x", "y"]}),
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        nested(3),
    ],
)
def test_a_schema_that_has_a_grammar_is_enforced_as_it_is(schema: dict[str, Any]) -> None:
    assert enforced(schema) == schema
    assert list(enforced(schema)["properties"]) == list(schema["properties"])


@pytest.mark.parametrize(
    ("schema", "reduced"),
    [
        ({"type": "string", "format": "uri", "minLength": 1}, {"type": "string", "format": "uri"}),
        ({"type": "string", "format": "hour"}, {"type": "string"}),
        ({"type": "string", "pattern": "(?<=a)b["}, {"type": "string"}),
        ({"type": "number", "multipleOf": 0.5, "minimum": 1}, {"type": "number", "minimum": 1}),
        (
            {"type": "array", "uniqueItems": True, "items": {"type": "string", "format": "hour"}},
            {"type": "array", "items": {"type": "string"}},
        ),
        (
            {"type": "array", "contains": {"type": "string"}, "minContains": 2, "uniqueItems": True},
            {"type": "array"},
        ),
        ({"type": "string", "pattern": "^[a-z]{1,5000}$"}, {"type": "string"}),
        ({"type": "string", "enum": [str(number) for number in range(3000)]}, {"type": "string"}),
    ],
)
def test_only_the_keyword_that_has_no_grammar_goes(schema: dict[str, Any], reduced: dict[str, Any]) -> None:
    kept = {"type": "integer", "enum": [1, 2]}
    assert enforced(properties(a=schema, b=kept)) == properties(a=reduced, b=kept)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        None,
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/missing"}}},
        {"type": "object", "properties": {"a": {"type": "nothing"}}},
    ],
    ids=["empty", "none", "a cycle", "a cycle in a property", "a reference to nothing", "an unknown type"],
)
def test_arguments_are_an_object_at_the_least(schema: Any) -> None:
    found = enforced(schema)
    assert found["type"] == "object"
    assert has_grammar(found)


def test_a_schema_that_is_nested_too_deep_is_enforced_above_that() -> None:
    found, depth = enforced(nested(60)), 0
    while "properties" in found:
        found, depth = found["properties"]["a"], depth + 1
    assert (found, depth >= 20) == ({}, True)


def test_a_tool_that_nobody_demands_is_left_alone() -> None:
    parameters = properties(a={"type": "string", "format": "hour"})
    assert strict_tools([function(parameters)], FREE) == [function(parameters)]


def test_a_strict_tool_is_enforced_and_the_log_names_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    parameters = properties(a={"type": "string", "format": "a format of this test"})
    (tool,) = strict_tools([function(parameters, strict=True)], FREE)
    assert tool["function"]["strict"] is True
    assert "no grammar can express format" in caplog.text
