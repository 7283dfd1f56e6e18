"""References within a schema: JSON pointers, resolved in bounded work."""

import pytest

from vllm_messages_plugin.formats.json_schema import CHARACTERS_LIMIT, STEPS_LIMIT, resolve_reference

SCHEMA = {
    "anyOf": [{"type": "integer"}, {"items": [{"type": "null"}]}],
    "$defs": {"a/b": {"type": "string"}, "c~d": {"type": "number"}, "e f": {"type": "boolean"}, "": {"x": 1}},
    "definitions": {"node": {"properties": {"0": {"type": "array"}}}},
}


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("#", SCHEMA),
        ("#/anyOf/0", {"type": "integer"}),
        ("#/anyOf/1/items/0", {"type": "null"}),
        ("#/$defs/a~1b", {"type": "string"}),
        ("#/%24defs/a%2Fb", {"type": "string"}),
        ("#/$defs/c~0d", {"type": "number"}),
        ("#/$defs/e%20f", {"type": "boolean"}),
        ("#/$defs/", {"x": 1}),
        ("#/definitions/node/properties/0", {"type": "array"}),
    ],
)
def test_a_local_reference_names_a_part_of_the_schema(reference: str, wanted: object):
    assert resolve_reference(reference, SCHEMA) == wanted


@pytest.mark.parametrize(
    "reference",
    [
        *("#/nowhere", "#/anyOf/2", "#/anyOf/-1", "#/anyOf/x", "#/anyOf/²", "#/anyOf/" + "9" * 5000),
        *("#/anyOf/0/type/0", "https://example.com/a#/anyOf/0", "", "anyOf/0"),
    ],
)
def test_a_reference_to_nothing_is_none(reference: str):
    assert resolve_reference(reference, SCHEMA) is None


def test_a_pointer_has_a_maximum_number_of_steps():
    nested: dict[str, object] = {"type": "string"}
    for _ in range(STEPS_LIMIT):
        nested = {"x": nested}
    assert resolve_reference("#" + "/x" * STEPS_LIMIT, nested) == {"type": "string"}
    assert resolve_reference("#" + "/x" * (STEPS_LIMIT + 1), {"x": nested}) is None


def test_a_pointer_has_a_maximum_length():
    key = "x" * (CHARACTERS_LIMIT - len("#/"))
    schema = {key: {"type": "string"}, key + "x": {"type": "string"}}
    assert resolve_reference(f"#/{key}", schema) == {"type": "string"}
    assert resolve_reference(f"#/{key}x", schema) is None
