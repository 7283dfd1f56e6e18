"""The incremental JSON parser: what it writes while it reads, in the types of a schema."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.whole_scan import completed
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer, run
from vllm_messages_plugin.formats.scanning.readers.arguments import ArgumentsWriter
from vllm_messages_plugin.formats.scanning.readers.json_string import ignore_repair
from vllm_messages_plugin.formats.scanning.readers.json_value import JsonReader, coerce_text, convert_json
from vllm_messages_plugin.formats.scanning.schema import SchemaNode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def node(schema: dict[str, Any]) -> SchemaNode:
    return SchemaNode(schema, schema)


def fed(text: str, size: int, ended: bool = True) -> tuple[str, bool | None]:
    """What the parser wrote, and its result; None while it waits for more text."""
    buffer, parts = InputBuffer(), list[str]()
    arguments = ArgumentsWriter(parts.append, ignore_repair, None, "f")
    parser = JsonReader(buffer, parts.append).read_members(arguments)
    try:
        for at in range(0, len(text), size):
            buffer.push(text[at : at + size])
            next(parser)
            assert isinstance(completed("{" + "".join(parts)), dict)
        buffer.ended = ended
        next(parser)
    except StopIteration as stop:
        return "".join(parts), stop.value
    return "".join(parts), None


@given(value=json_values, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_json_comes_out_as_it_went_in(value: object, indent: int | None, ascii_only: bool):
    written = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found, repairs = convert_json(written, None)
    assert found is not None
    assert json.loads(found) == value
    assert repairs == []


@settings(deadline=None)
@given(value=st.dictionaries(st.text(), json_values, max_size=4), size=st.integers(1, 5))
def test_members_are_read_for_every_split(value: dict[str, Any], size: int):
    written, complete = fed(json.dumps(value)[1:], size)
    assert complete
    assert json.loads("{" + written + "}") == value


@given(value=st.dictionaries(st.text(), json_values, min_size=1, max_size=4), data=st.data())
def test_cut_members_are_not_complete(value: dict[str, Any], data: st.DataObject):
    text = json.dumps(value)[1:-1]
    written, complete = fed(text[: data.draw(st.integers(0, len(text)))], 1)
    assert complete is False
    assert isinstance(completed("{" + written), dict)


@pytest.mark.parametrize(
    ("text", "json_text"),
    [
        ('{"a": 1,}', '{"a": 1}'),
        ("[1, 2 , ]", "[1, 2]"),
        ('{"a": [True, False, None,],}', '{"a": [true, false, null]}'),
        ('"a\nb\tc"', r'"a\nb\tc"'),
        (r'"it\'s"', '"it\'s"'),
        (r'"\d+"', r'"\\d+"'),
        (r'"\ud83d\ude00 \ud83d"', '"\\ud83d\\ude00 \ufffd"'),
        ('{"a":1,"a":2}', '{"a": 1, "a": 2}'),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)
def test_repaired_json(text: str, json_text: str):
    assert convert_json(text, None)[0] == json_text


@pytest.mark.parametrize(
    "text", ["", "{", '{"a"}', "{a: 1}", "[1 2]", "'a'", "nope", "01", "1 2", '{"a": }', "[,]", "NaN", "+1"]
)
def test_broken_json_that_is_not_repaired(text: str):
    assert convert_json(text, None)[0] is None


SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "s": {"type": "string"},
        "b": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "either": {"type": ["string", "null"]},
        "self": {"$ref": "#"},
        "any": {},
    },
    "additionalProperties": {"type": "number"},
}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"n": "5", "s": 5, "b": "true"}, {"n": 5, "s": "5", "b": True}),
        ({"n": "5.0", "s": True, "b": "False"}, {"n": 5, "s": "true", "b": False}),
        ({"n": "five", "b": "yes"}, {"n": "five", "b": "yes"}),
        ({"list": '["1", 2]'}, {"list": [1, 2]}),
        ({"list": ["1", "x"]}, {"list": [1, "x"]}),
        ({"list": "1, 2"}, {"list": "1, 2"}),
        ({"either": "null", "s": None}, {"either": "null", "s": None}),
        ({"self": {"self": {"n": "7"}}}, {"self": {"self": {"n": 7}}}),
        ({"self": '{"n": "7"}'}, {"self": {"n": 7}}),
        ({"any": "5", "other": "1.5"}, {"any": "5", "other": 1.5}),
        ({"n": 1.5, "b": 1}, {"n": 1.5, "b": 1}),
    ],
)
def test_values_take_the_types_of_the_schema(value: object, wanted: object):
    found, _ = convert_json(json.dumps(value), node(SCHEMA))
    assert found is not None
    assert json.loads(found) == wanted


@pytest.mark.parametrize(
    ("text", "schema", "wanted"),
    [
        ("5", {"type": "integer"}, "5"),
        (" 5\n", {"type": "integer"}, "5"),
        ("007", {"type": "integer"}, None),
        ("1e3", {"type": "number"}, "1e3"),
        ("TRUE", {"type": "boolean"}, "true"),
        ("None", {"type": ["integer", "null"]}, "null"),
        ("[1, 2,]", {"type": "array"}, "[1, 2]"),
        ("['a', True]", {"type": "array"}, '["a", true]'),
        ("{'a': (1, 2)}", {"type": "object"}, '{"a": [1, 2]}'),
        ("[1, 2]", {"type": "object"}, None),
        ("[oops", {"type": "array"}, None),
        ('{"a": "5"}', {"properties": {"a": {"type": "integer"}}}, '{"a": 5}'),
        ("{'a': '5'}", {"properties": {"a": {"type": "integer"}}}, '{"a": 5}'),
    ],
)
def test_text_stands_for_a_typed_value(text: str, schema: dict[str, Any], wanted: str | None):
    assert coerce_text(text, node(schema)) == wanted


def test_a_string_is_written_before_its_end_and_a_number_is_not():
    assert fed('"s": "abc', 1, ended=False) == ('"s": "abc', None)
    assert fed('"n": 12', 1, ended=False) == ('"n": ', None)
    assert fed('"a": [1, {"b": "c', 1, ended=False) == ('"a": [1, {"b": "c', None)
    assert fed('"a": 1, ', 1, ended=False) == ('"a": 1', None)


def test_run_returns_the_result_of_a_parser():
    assert run(JsonReader(InputBuffer("[1]", ended=True), lambda _: None).read_value(None)) is True
