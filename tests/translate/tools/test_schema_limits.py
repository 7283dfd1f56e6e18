"""Limits on schemas that become grammars, and the places that are named where one is exceeded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.conversations import Json, conversation, tool, user
from vllm_messages_plugin.translate.tools.schema_limits import find_excess, pattern_length
from vllm_messages_plugin.wire.errors import MessagesError

ASKED = user("Hi")


def of(**keywords: Any) -> Json:
    return {"type": "object", "properties": {"a": keywords}, "required": ["a"]}


def nested(depth: int) -> Json:
    schema: Json = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def strings(count: int) -> list[str]:
    return [f"value {n}" for n in range(count)]


AT_A: dict[str, tuple[Json, str]] = {
    "a long enum": ({"enum": strings(2_001)}, "enum"),
    "an enormous enum": ({"enum": list(range(100_000))}, "enum"),
    "a long constant": ({"const": "a" * 100_000}, "const"),
    "a long value": ({"enum": ["a" * 100_000]}, "enum"),
    "a large bound": ({"type": "string", "maxLength": 10**9}, "maxLength"),
    "a repetition": ({"pattern": "^[\u0000-\uffff]{1,5000}$"}, "pattern"),
    "nested repetitions": ({"pattern": "^(([a-z]{1,30}x){1,30}y){1,30}$"}, "pattern"),
    "a long pattern": ({"pattern": "a" * 2_001}, "pattern"),
    "a repetition of any character": ({"pattern": "^.{1,400}$"}, "pattern"),
    "a repetition of all characters but one": ({"pattern": "^[^,]{1,400}$"}, "pattern"),
    "a repetition in a property's name": ({"patternProperties": {"a{5000}": {}}}, "patternProperties"),
}
WHOLE: dict[str, Json] = {
    "many schemas": {"type": "object", "properties": {f"p{n}": {} for n in range(2_000)}},
    "many values": {"anyOf": [{"enum": strings(2_000)} for _ in range(6)]},
    "many patterns": {"type": "object", "properties": {f"p{n}": {"pattern": "a{300}"} for n in range(4)}},
    "many characters": of(description="a" * 1_000_000),
}
FITTING: dict[str, Json] = {
    "a plain one": of(type="string"),
    "an enum": of(enum=strings(1_000)),
    "a pattern": of(pattern="^[a-z]{1,1000}$"),
    "a UUID": of(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
    "bounds": of(type="array", maxItems=1_000, items={"maxLength": 10_000}),
    "depth": nested(24),
    "properties named like keywords": {
        "type": "object",
        "properties": {"enum": {"type": "string"}, "pattern": {"type": "string"}, "const": {}},
    },
    "values that are no strings": of(enum=[1, None, {"a": 1}], const=7),
}


def asked_for(schema: Json) -> dict[str, Json]:
    """The fields that hold a reply to a schema, by the path of the schema."""
    given = {"type": "json_schema", "schema": schema}
    return {
        "output_config.format.schema": {"output_config": {"format": given}},
        "output_format.schema": {"output_format": given},
    }


def refused_at(path: str, fields: Json) -> str:
    """The place below `path` that a refusal names."""
    with pytest.raises(MessagesError) as refused:
        conversation(ASKED, **fields)
    assert refused.value.status == 400
    assert ": the schema " in refused.value.message
    found = refused.value.param or ""
    assert found.startswith(path)
    return found.removeprefix(path)


@pytest.mark.parametrize(("inner", "keyword"), AT_A.values(), ids=AT_A.keys())
def test_a_schema_above_a_limit_is_refused_at_its_place(inner: Json, keyword: str) -> None:
    for path, fields in asked_for(of(**inner)).items():
        assert refused_at(path, fields) == f".properties.a.{keyword}"


def test_a_schema_that_is_too_deep_is_refused_at_its_place() -> None:
    for path, fields in asked_for(nested(25)).items():
        assert refused_at(path, fields) == ".properties.a" * 25


@pytest.mark.parametrize("schema", WHOLE.values(), ids=WHOLE.keys())
def test_a_schema_that_is_too_large_in_total_is_refused(schema: Json) -> None:
    for path, fields in asked_for(schema).items():
        assert refused_at(path, fields) == ""


@pytest.mark.parametrize("schema", FITTING.values(), ids=FITTING.keys())
def test_a_schema_below_the_limits_is_taken(schema: Json) -> None:
    for fields in asked_for(schema).values():
        assert conversation(ASKED, **fields).schema == schema


def test_a_tool_may_have_any_schema() -> None:
    for schema in [*WHOLE.values(), *(of(**inner) for inner, _ in AT_A.values())]:
        assert conversation(ASKED, tools=[tool("f", strict=True, input_schema=schema)]).tools


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("", 0),
        ("^abc$", 3),
        ("a|b", 2),
        (r"\d{3}", 3),
        (r"\{3}", 3),
        ("[a-z]{2,5}", 5),
        ("[]x]{3}", 5),
        (r"[\]x]{3}", 3),
        ("a{3,}", 3),
        ("(ab){3}", 6),
        ("(a(bc){2}){3}", 15),
        ("((a?){30}){30}", 900),
        ("a{2}{3}", 6),
        ("a*b+", 2),
        ("{3}", 0),
        ("a{b}", 4),
        ("a{" + "9" * 5_000 + "}", 10**6),
        ("(a", 1),
        ("a)", 2),
        ("a\\", 2),
        ("[a", 1),
    ],
)
def test_the_length_of_a_pattern_counts_repetitions(pattern: str, length: int) -> None:
    assert pattern_length(pattern) == length


@given(st.text(alphabet="ab(){}[]\\,12^$|*+?", max_size=40))
def test_any_text_has_a_length_as_a_pattern(pattern: str) -> None:
    assert pattern_length(pattern) >= 0


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (of(pattern="(a{40}){40}"), "s.properties.a.pattern"),
        (of(anyOf=[{}, {"enum": list(range(100_000))}]), "s.properties.a.anyOf.1.enum"),
        (of(items={"maxItems": 10**9}), "s.properties.a.items.maxItems"),
        ({"type": "object", "description": "x" * 2_000_000}, "s"),
    ],
)
def test_an_excess_is_found_by_its_path(schema: Json, path: str) -> None:
    found = find_excess(schema, "s")
    assert found is not None
    assert found.path == path


def test_a_usual_schema_has_no_excess() -> None:
    assert find_excess(of(pattern="^[a-z]{1,200}$", enum=["a"] * 500), "s") is None
