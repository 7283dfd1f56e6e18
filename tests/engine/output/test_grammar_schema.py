"""A tool's schema loses the keywords that no grammar can express, and nothing else."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.engine.output.grammar_schema import DROPPABLE, reduce_schema
from vllm_messages_plugin.engine.output.grammars import has_grammar
from vllm_messages_plugin.translate.tools.schema_limits import MAX_DEPTH


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "required": list(schemas)}


def keywords(schema: Any) -> set[str]:
    """The keywords of a schema and of those inside it."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, Mapping):
        return set()
    inner = [value for name, value in schema.items() if name != "properties"]
    return {*schema}.union(*map(keywords, [*inner, *schema.get("properties", {}).values()]))


def without(*unknown: str) -> Callable[[Mapping[str, Any]], bool]:
    """A grammar compiler that knows every keyword but these."""
    return lambda schema: keywords(schema).isdisjoint(unknown)


@pytest.mark.parametrize(
    ("schema", "unknown", "reduced", "dropped"),
    [
        (properties(a={"minimum": 1}), (), properties(a={"minimum": 1}), ()),
        ({"minimum": 1}, (), {"minimum": 1, "type": "object"}, ()),
        ({"$ref": "#/$defs/a"}, (), {"$ref": "#/$defs/a"}, ()),
        (["not a schema"], (), {"type": "object"}, ()),
        (
            properties(a={"minimum": 1, "format": "date"}, b={"minimum": 2}),
            ("minimum",),
            properties(a={"format": "date"}, b={}),
            ("minimum",),
        ),
        (
            {"type": "object", "$defs": {"a": {"format": "date", "pattern": "a", "title": "A"}}},
            ("format", "pattern"),
            {"type": "object", "$defs": {"a": {"title": "A"}}},
            ("format", "pattern"),
        ),
        (
            properties(a={"anyOf": [{"const": 1}, {"type": "string", "items": {"not": {}}}]}),
            ("const", "not"),
            properties(a={"anyOf": [{}, {"type": "string", "items": {}}]}),
            ("const", "not"),
        ),
        (properties(a={"minimum": 1}), ("properties",), {"type": "object"}, ("the rest of the schema",)),
    ],
)
def test_only_keywords_without_a_grammar_are_dropped(
    schema: Any, unknown: tuple[str, ...], reduced: Any, dropped: tuple[str, ...]
) -> None:
    assert reduce_schema(schema, without(*unknown)) == (reduced, dropped)


def test_one_keyword_is_dropped_where_that_is_enough() -> None:
    both = {"type": "array", "minItems": 1, "uniqueItems": True}
    reduced = reduce_schema(
        properties(a=both), lambda schema: not {"minItems", "uniqueItems"} <= keywords(schema)
    )
    assert reduced.dropped == ("uniqueItems",)
    assert reduced.schema == properties(a={"type": "array", "minItems": 1})


def test_a_keyword_that_takes_too_long_to_compile_is_dropped_without_asking_for_its_grammar() -> None:
    large = {"type": "string", "enum": [str(number) for number in range(3000)]}

    def asked(schema: Mapping[str, Any]) -> bool:
        assert "enum" not in keywords(schema)
        return True

    assert reduce_schema(properties(a=large), asked) == (properties(a={"type": "string"}), ("enum",))


def test_a_schema_nested_too_deep_is_dropped_from_there_on() -> None:
    schema: dict[str, Any] = {"minimum": 1}
    for _ in range(MAX_DEPTH + 10):
        schema = properties(a=schema)
    reduced = reduce_schema(schema, without("minimum"))
    found, depth = reduced.schema, 0
    while found:
        found, depth = found["properties"]["a"], depth + 1
    assert depth == MAX_DEPTH + 1
    assert "schemas that are nested too deep" in reduced.dropped


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
