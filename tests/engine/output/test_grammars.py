"""Schemas of tools are enforced as far as a grammar can express them, with the real compiler."""

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.engine.output.grammar_schema import DROPPABLE, reduce_schema
from vllm_messages_plugin.engine.output.grammars import has_grammar, strict_tools
from vllm_messages_plugin.translate.chat_message import Function
from vllm_messages_plugin.translate.tools.schema_limits import find_excess
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


SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "array", "object"])},
        optional={
            "format": st.sampled_from(["uri", "hour"]),
            "pattern": st.sampled_from(["^a+$", "[", "a{1,9999}"]),
            "minLength": st.integers(0, 3),
            "multipleOf": st.integers(1, 3),
            "uniqueItems": st.booleans(),
            "propertyNames": st.just({"pattern": "^a", "minLength": 1}),
        },
    ),
    lambda inner: st.builds(
        lambda schemas: properties(**schemas), st.dictionaries(st.sampled_from("abc"), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=40)
@given(SCHEMAS)
def test_whatever_the_schema_what_is_left_has_a_grammar(schema: dict[str, Any]) -> None:
    reduced = reduce_schema(schema, has_grammar)
    assert has_grammar(reduced.schema)
    assert set(reduced.dropped) <= {*DROPPABLE, "the rest of the schema"}
    assert reduced.schema == schema or reduced.dropped


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (properties(a={"pattern": "^[\\u0000-\\uffff]{1,5000}$"}), "s.properties.a.pattern"),
        (properties(a={"pattern": "(a{40}){40}"}), "s.properties.a.pattern"),
        (properties(a={"anyOf": [{}, {"enum": list(range(100_000))}]}), "s.properties.a.anyOf.1.enum"),
        (properties(a={"const": "x" * 200_000}), "s.properties.a.const"),
        (properties(a={"items": {"maxItems": 10**9}}), "s.properties.a.items.maxItems"),
        ({"type": "object", "description": "x" * 2_000_000}, "s"),
    ],
)
def test_what_would_hold_the_grammar_compiler_is_found_by_its_path(schema: dict[str, Any], path: str) -> None:
    found = find_excess(schema, "s")
    assert found is not None
    assert found.path == path


def test_a_usual_schema_is_not_find_excess() -> None:
    assert find_excess(properties(a={"pattern": "^[a-z]{1,200}$"}, b={"enum": ["a"] * 500}), "s") is None
