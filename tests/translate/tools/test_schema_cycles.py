"""Which schemas no text satisfies, and that they are refused before the engine sees them."""

from typing import Any

import pytest

from translate.conversations import SIGNER, VISION
from vllm_messages_plugin.translate.conversation import translate_request
from vllm_messages_plugin.translate.tools.schema_cycles import has_unsatisfiable_cycle
from vllm_messages_plugin.wire.errors import MessagesError
from wire.bodies import body, read

TEXT = {"type": "string"}
TREE = {
    "$defs": {
        "Node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, TEXT]}}}
    },
    "$ref": "#/$defs/Node",
}
TWICE = {"$defs": {"a": TEXT}, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}
ENDING: dict[str, Any] = {
    "nothing": {},
    "no schema": None,
    "a recursive one": TREE,
    "itself in a property": {"type": "object", "properties": {"a": {"$ref": "#"}}},
    "itself in an item": {"type": "array", "items": {"$ref": "#"}},
    "itself or another": {"anyOf": [{"$ref": "#"}, TEXT]},
    "the same twice": TWICE,
    "a pointer to nothing": {"$ref": "#/nope/0/b"},
    "a pointer past a list": {"anyOf": [{"$ref": "#/anyOf/7"}, {"$ref": "#/anyOf/x"}]},
    "another document": {"$ref": "https://a.invalid/schema"},
    "a reference that is none": {"$ref": 7},
    "a value that looks like one": {"const": {"$ref": "#"}},
}
ENDLESS: dict[str, Any] = {
    "itself": {"$ref": "#"},
    "itself deep inside": {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
    "one another": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "itself and more": {"allOf": [TEXT, {"$ref": "#"}]},
    "one alternative": {"anyOf": [{"$ref": "#"}]},
    "a step in a list": {"anyOf": [TEXT, {"allOf": [{"$ref": "#/anyOf/1"}]}]},
    "a percent-encoded name": {"$defs": {"a b": {"$ref": "#/%24defs/a%20b"}}},
    "an escaped name": {"$defs": {"a/b~": {"$ref": "#/$defs/a~1b~0"}}, "type": "string"},
}


@pytest.mark.parametrize("schema", ENDING.values(), ids=ENDING.keys())
def test_a_schema_that_a_text_satisfies_has_an_end(schema: Any) -> None:
    assert not has_unsatisfiable_cycle(schema)


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_schema_that_only_leads_to_itself_has_unsatisfiable_cycle(schema: Any) -> None:
    assert has_unsatisfiable_cycle(schema)


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_an_endless_schema_is_refused_by_name(name: str) -> None:
    wanted = {"type": "json_schema", "schema": {"$ref": "#"}}
    asked = body(**{name: {"format": wanted} if name == "output_config" else wanted})
    with pytest.raises(MessagesError, match=r"^output_(config\.format|format)\.schema: ") as refused:
        translate_request(read(asked), VISION, SIGNER.restore)
    assert refused.value.message.startswith(name)


def test_a_long_chain_of_references_is_followed_in_linear_time() -> None:
    chain = {f"n{n}": {"$ref": f"#/$defs/n{n + 1}"} for n in range(20_000)}
    assert not has_unsatisfiable_cycle({"$defs": {**chain, "n20000": TEXT}})
    assert has_unsatisfiable_cycle({"$defs": {**chain, "n20000": {"$ref": "#/$defs/n0"}}})
