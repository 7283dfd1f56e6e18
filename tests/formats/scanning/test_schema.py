"""The types of a schema, and the conversion of values to them."""

from typing import Any

import pytest

from formats.whole_scan import completed, scan
from vllm_messages_plugin.formats.scanning.schema import (
    SchemaNode,
    accepts_string,
    coerce_literal,
    parameters_of,
    scalar_from_text,
)


def types(schema: Any, root: dict[str, Any] | None = None) -> set[str] | None:
    found = SchemaNode(schema, root or {}).types
    return None if found is None else set(found)


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"type": "Int"}, {"integer"}),
        ({"type": "integer", "nullable": True}, {"integer", "null"}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"integer", "null"}),
        ({"oneOf": [{"anyOf": [{"type": "string"}]}, {"type": "array"}]}, {"string", "array"}),
        ({"allOf": [{"type": "object"}], "description": "x"}, {"object"}),
        ({"$ref": "#/$defs/a~1b"}, {"boolean"}),
        ({"$ref": "#/$defs/a%2Fb"}, {"boolean"}),
        ({"$ref": "#/$defs/loop/anyOf/1"}, {"null"}),
        ({"$ref": "#/definitions/old"}, {"integer"}),
        ({"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "string"}]}, {"string", "null"}),
        ({"enum": ["a", 1, None]}, {"string", "integer", "null"}),
        ({"const": True}, {"boolean"}),
        ({"properties": {}}, {"object"}),
        ({"items": {}}, {"array"}),
        ({}, None),
        (True, None),
        ({"description": "anything"}, None),
        ({"anyOf": [{"type": "integer"}, {}]}, None),
        ({"$ref": "#/nowhere"}, None),
        ({"$ref": "https://example.com/schema"}, None),
        ({"type": 5, "anyOf": 7, "enum": "x"}, None),
    ],
)
def test_types_of_a_schema(schema: Any, wanted: set[str] | None):
    root = {
        "$defs": {
            "a/b": {"type": "boolean"},
            "loop": {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "null"}]},
        },
        "definitions": {"old": {"type": "integer"}},
    }
    assert types(schema, root) == wanted


def test_a_recursive_schema_is_read_in_bounded_work():
    loop: dict[str, Any] = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert types({"$ref": "#/$defs/a"}, loop) is None
    tree: dict[str, Any] = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    place: SchemaNode | None = SchemaNode(tree, tree)
    for _ in range(100):
        place = place.property("child") if place else None
    assert place is not None
    assert place.types == {"object"}


def test_a_schema_of_many_alternatives_is_read_in_bounded_work():
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        schema = {"anyOf": [schema, schema, {"anyOf": [schema, {"type": "integer"}]}]}
    assert types(schema) == {"string", "integer"}


def test_properties_are_found_behind_references_and_alternatives():
    root: dict[str, Any] = {
        "anyOf": [{"$ref": "#/$defs/one"}, {"properties": {"b": {"type": "integer"}}}],
        "$defs": {"one": {"properties": {"a": {"type": "array", "items": {"type": "boolean"}}}}},
    }
    place = SchemaNode(root, root)
    assert (items := place.property("a").items()) is not None  # type: ignore[union-attr]
    assert items.types == {"boolean"}
    assert place.property("b").types == {"integer"}  # type: ignore[union-attr]
    assert place.property("c") is None


def test_other_properties_have_the_schema_for_others():
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert SchemaNode(schema, schema).property("x").types == {"integer"}  # type: ignore[union-attr]
    assert SchemaNode({"additionalProperties": False}, {}).property("x") is None


@pytest.mark.parametrize(
    ("text", "kinds", "wanted"),
    [
        ("5", {"integer"}, "5"),
        ("-5", {"integer"}, "-5"),
        ("5.00", {"integer"}, "5"),
        ("5.5", {"integer"}, None),
        ("5.5", {"number"}, "5.5"),
        ("1e400", {"number"}, "1e400"),
        ("nan", {"number"}, None),
        ("0x10", {"integer"}, None),
        ("true", {"boolean"}, "true"),
        (" True ", {"boolean"}, "true"),
        ("1", {"boolean"}, None),
        ("null", {"null", "string"}, "null"),
        ("null", {"string"}, None),
        ("nothing", {"null"}, None),
        ("5", {"string"}, None),
    ],
)
def test_scalars_from_text(text: str, kinds: set[str], wanted: str | None):
    assert scalar_from_text(text, frozenset(kinds)) == wanted


@pytest.mark.parametrize(
    ("literal", "kinds", "wanted"),
    [
        ("5", {"string"}, '"5"'),
        ("5.50", {"string"}, '"5.50"'),
        ("true", {"string"}, '"true"'),
        ("null", {"string"}, "null"),
        ("5", {"string", "integer"}, "5"),
        ("5", {"number"}, "5"),
        ("5", {"boolean"}, "5"),
        ("5", None, "5"),
    ],
)
def test_scalars_from_json(literal: str, kinds: set[str] | None, wanted: str):
    assert coerce_literal(literal, literal, None if kinds is None else frozenset(kinds)) == wanted


def test_tools_in_either_form():
    bare = {"name": "a", "parameters": {"properties": {"x": {"type": "integer"}}}}
    found = parameters_of([{"type": "function", "function": bare}, {"name": "b", "input_schema": {}}, {}])
    assert set(found) == {"a", "b"}
    assert not accepts_string(found["a"].property("x"))
    assert accepts_string(found["b"].property("x"))


def tool(schema: object) -> list[dict[str, Any]]:
    return [{"function": {"name": "f", "parameters": {"properties": {"v": schema}}}}]


@pytest.mark.parametrize(
    ("schema", "text", "wanted"),
    [
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "nullable", "nullable"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "5", 5),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "5th", "5th"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "[1]", [1]),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "[draft] text", "[draft] text"),
        ({}, "true", True),
        ({}, "true story", "true story"),
        ({}, '{"a": 1}', {"a": 1}),
        ({"type": "integer"}, "many", "many"),
        ({"type": "array"}, '["a\nb"]', ["a\nb"]),
        ({"type": "object"}, "", ""),
        ({"type": ["string", "integer"]}, "1" * 40, "1" * 40),
    ],
)
def test_values_between_tags_take_the_types_of_the_schema(schema: object, text: str, wanted: object):
    call = f"<tool_call>\n<function=f>\n<parameter=v>\n{text}\n</parameter>\n</function>\n</tool_call>"
    for size in (0, 1):
        assert scan("qwen_xml", call, size=size, tools=tool(schema)).complete_calls == [("f", {"v": wanted})]


def test_an_unknown_argument_is_text_unless_the_markup_gives_its_type():
    call = '<｜DSML｜invoke name="f">{}</｜DSML｜invoke>'  # noqa: RUF001
    one = '<｜DSML｜parameter name="{}" string="{}">{}</｜DSML｜parameter>'  # noqa: RUF001
    text = call.format(
        one.format("a", "true", "5") + one.format("b", "false", "5") + one.format("v", "true", "6")
    )
    result = scan("dsml_tool_calls", text, tools=tool({"type": "integer"}))
    assert result.complete_calls == [("f", {"a": "5", "b": 5, "v": 6})]
    assert scan(
        "glm_xml", "<tool_call>f<arg_key>a</arg_key><arg_value>5</arg_value></tool_call>"
    ).complete_calls == [("f", {"a": "5"})]


@pytest.mark.parametrize(
    ("schema", "choices"),
    [
        ({"type": "string", "enum": ["a", "b"]}, {"a", "b"}),
        ({"const": "a"}, {"a"}),
        ({"anyOf": [{"enum": ["a"]}, {"const": "b"}]}, {"a", "b"}),
        ({"enum": ["a", 1]}, None),
        ({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}, None),
        ({"type": "string"}, None),
        ({"enum": []}, None),
        ({}, None),
    ],
)
def test_enum_strings_of_a_schema(schema: Any, choices: set[str] | None):
    assert SchemaNode(schema, schema).choices == choices


CHOOSING = [
    {
        "type": "function",
        "function": {
            "name": "paint",
            "parameters": {
                "type": "object",
                "properties": {"colour": {"enum": ["red", " dark red ", "blue"]}},
            },
        },
    }
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("red", "red"),
        (" red ", "red"),
        ("\t blue", "blue"),
        (" dark red ", " dark red "),
        ("dark red", "dark red"),
        (" green ", " green "),
        ("red " * 40, "red " * 40),
        (" ", " "),
    ],
)
def test_an_enum_value_loses_the_whitespace_around_it_and_another_keeps_it(
    written: str, meant: str, size: int
):
    text = (
        "<tool_call>\n<function=paint>\n"
        f"<parameter=colour>\n{written}\n</parameter>\n</function>\n</tool_call>"
    )
    assert scan("qwen_xml", text, size=size, tools=CHOOSING).complete_calls == [("paint", {"colour": meant})]


@pytest.mark.parametrize("cut", ["re", "red", " r", "red " * 40])
def test_an_enum_value_that_is_cut_stays_open(cut: str):
    text = f"<tool_call>\n<function=paint>\n<parameter=colour>\n{cut}"
    ((name, written, complete),) = scan("qwen_xml", text, tools=CHOOSING).calls
    assert (name, complete) == ("paint", False)
    assert cut.startswith(completed(written)["colour"])
    assert completed(written)["colour"].strip()
