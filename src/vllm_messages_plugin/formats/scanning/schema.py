"""The types that a tool's schema allows, and the conversion of values to them.

A schema is seen through `SchemaNode`, which understands anyOf, oneOf, allOf, $ref (also cyclic), lists of
types, enum and const. A value is converted only where its meaning is beyond doubt; any other value that does
not fit stays as the model wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from vllm_messages_plugin.formats.json_schema import resolve_reference
from vllm_messages_plugin.formats.scanning.repair import INTEGER, LITERALS, quote, to_number

ALTERNATIVES_LIMIT: Final = 64
DEPTH_LIMIT: Final = 8  # how deep a value is compared with its schema
_SEPARATORS: Final = re.compile(r"[-_ ]+")
Types = frozenset[str]
# Type names of other languages, which tool authors use.
ALIASES: Final = {
    "str": "string",
    "text": "string",
    "varchar": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_TYPE_NAMES: Final[dict[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_IMPLIED: Final = {"properties": "object", "additionalProperties": "object", "items": "array"}
# The characters with which a value of each type can begin; "" for any.
FIRST_CHARS: Final[dict[str, str]] = {
    "null": "nN",
    "boolean": "tTfF",
    "integer": "-0123456789",
    "number": "-0123456789",
    "array": "[",
    "object": "{",
    "string": "",
}
ANY: Final[Types] = frozenset(FIRST_CHARS)


class SchemaNode:
    """One place in a schema: a tool's arguments, a property or an array's items.

    Attributes:
        types: The JSON types that a value here may have; None if any.
    """

    __slots__ = ("__dict__", "_alternatives", "_root", "types")

    def __init__(self, schema: object, root: Mapping[str, Any]) -> None:
        self._root = root
        self._alternatives = tuple(_flatten(schema, root))
        self.types = _types(self._alternatives)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the properties."""
        found = (schema.get("properties") for schema in self._alternatives)
        return frozenset(key for properties in found if isinstance(properties, Mapping) for key in properties)

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the properties that every alternative requires."""
        each = [_strings(schema.get("required")) for schema in self._alternatives]
        return frozenset.intersection(*each) if each else frozenset()

    @cached_property
    def is_open(self) -> bool:
        """True if the schema explicitly allows properties that it does not name."""
        return any(
            "patternProperties" in schema or schema.get("additionalProperties", False) not in (False, None)
            for schema in self._alternatives
        )

    @property
    def choices(self) -> frozenset[str] | None:
        """The strings that the schema lists for this place; None unless it allows nothing else."""
        listed = [
            value
            for schema in self._alternatives
            for value in ([schema["const"]] if "const" in schema else _listed(schema.get("enum")) or [None])
        ]
        found = frozenset(value for value in listed if isinstance(value, str))
        return found if listed and all(isinstance(value, str) for value in listed) else None

    def property(self, key: str) -> SchemaNode | None:
        """Return the schema of a property; None if there is none."""
        for schema in self._alternatives:
            properties = schema.get("properties")
            if isinstance(properties, Mapping) and key in properties:
                return SchemaNode(properties[key], self._root)
        others = (schema.get("additionalProperties") for schema in self._alternatives)
        return next((SchemaNode(other, self._root) for other in others if isinstance(other, Mapping)), None)

    def items(self) -> SchemaNode | None:
        """Return the schema of an array's items; None if there is none."""
        found = (schema.get("items") for schema in self._alternatives)
        return next((SchemaNode(items, self._root) for items in found if isinstance(items, Mapping)), None)


def parameters_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, SchemaNode]:
    """Return the schema of each tool's arguments, by the tool's name.

    Args:
        tools: Tools in OpenAI's form (`{"function": {"name", "parameters"}}`) or in Anthropic's
            (`{"name", "input_schema"}`).
    """
    found: dict[str, SchemaNode] = {}
    for tool in tools:
        function = tool.get("function", tool)
        name = function.get("name")
        schema = function.get("parameters") or function.get("input_schema") or {}
        if isinstance(name, str) and isinstance(schema, Mapping):
            found[name] = SchemaNode(schema, schema)
    return found


def _flatten(schema: object, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas that a schema combines, each once and at most `ALTERNATIVES_LIMIT` of them."""
    waiting, seen, found = [schema], set[int](), 0
    while waiting and found < ALTERNATIVES_LIMIT:
        current = waiting.pop(0)
        if not isinstance(current, Mapping) or id(current) in seen:
            continue
        seen.add(id(current))
        parts = [part for word in ("anyOf", "oneOf", "allOf") for part in _listed(current.get(word))]
        if isinstance(current.get("$ref"), str):
            parts.append(resolve_reference(current["$ref"], root))
        waiting = [*parts, *waiting][:ALTERNATIVES_LIMIT]
        if not parts or _own_types(current):
            found += 1
            yield current


def _strings(value: object) -> frozenset[str]:
    return frozenset(each for each in _listed(value) if isinstance(each, str))


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _own_types(schema: Mapping[str, Any]) -> set[str]:
    """The types that a schema names or implies, leaving out its parts; empty if it allows any."""
    named = schema.get("type")
    names = [named] if isinstance(named, str) else [name for name in _listed(named) if isinstance(name, str)]
    if names:
        types = {ALIASES.get(name.lower(), name.lower()) for name in names}
        return types | {"null"} if schema.get("nullable") is True else types
    values = [schema["const"]] if "const" in schema else _listed(schema.get("enum"))
    if values:
        return {_TYPE_NAMES.get(type(value), "string") for value in values}
    return {kind for word, kind in _IMPLIED.items() if word in schema}


def _types(alternatives: Sequence[Mapping[str, Any]]) -> Types | None:
    """All types of the alternatives; None if there are none, or if one allows any."""
    each = [_own_types(alternative) for alternative in alternatives]
    return frozenset().union(*each) if each and all(each) else None


def similar_name(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that differs from `name` only in case, hyphens, underscores or spaces."""
    plain = _plain(name)
    found = [other for other in names if _plain(other) == plain]
    return found[0] if len(found) == 1 and plain else None


def schema_key(key: str, node: SchemaNode | None, taken: Collection[str]) -> str:
    """Return the schema's spelling of a key: itself, or the one similar key that is not taken."""
    if node is None or key in node.names or not node.names or node.is_open:
        return key
    return similar_name(key, [name for name in node.names if name not in taken]) or key


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def fits(value: object, node: SchemaNode, depth: int = DEPTH_LIMIT) -> bool:
    """True if a value has the types, the keys and the required members of a schema.

    Args:
        value: A parsed JSON value.
        node: The schema.
        depth: How deep to look; what lies deeper fits.
    """
    if node.types is not None and not (_types_of(value) & node.types):
        return False
    if depth and isinstance(value, dict) and (node.types is None or "object" in node.types):
        known = node.is_open or not node.names or value.keys() <= node.names
        return (
            known
            and node.required <= value.keys()
            and all(
                fits(each, place, depth - 1) for key, each in value.items() if (place := node.property(key))
            )
        )
    items = node.items() if depth and isinstance(value, list) else None
    return items is None or not isinstance(value, list) or all(fits(each, items, depth - 1) for each in value)


def _types_of(value: object) -> set[str]:
    name = _TYPE_NAMES.get(type(value), "")
    return (
        {"integer", "number"}
        if name == "integer" or (isinstance(value, float) and value.is_integer())
        else {name}
    )


def accepts_string(node: SchemaNode | None) -> bool:
    """True if a string may stand here."""
    return node is None or node.types is None or "string" in node.types


def scalar_from_text(text: str, types: Types) -> str | None:
    """Return the JSON scalar that a text stands for.

    Args:
        text: The text; whitespace around it is ignored.
        types: The types that the scalar may have.

    Returns:
        The scalar as JSON; None if the text stands for none of these types.
    """
    word = text.strip()
    if "null" in types and word in ("null", "None"):
        return "null"
    if "boolean" in types and word.lower() in ("true", "false"):
        return word.lower()
    if "integer" in types:
        integer = _integer(word)
        if integer is not None:
            return integer
    return to_number(word) if "number" in types else None


def _integer(word: str) -> str | None:
    """An integer, also one that is written as 5.0."""
    number, point, decimals = word.partition(".")
    if not INTEGER.fullmatch(number) or bool(point) != bool(decimals) or decimals.strip("0"):
        return None
    return number


def coerce_literal(literal: str, written: str, types: Types | None) -> str:
    """Convert a JSON scalar to a schema's types: a number or a boolean to a string, where only that fits.

    Args:
        literal: The scalar as JSON.
        written: The scalar as the model wrote it, which becomes the string.
        types: The types that are allowed; None for any.

    Returns:
        The scalar as JSON.
    """
    if types is None or _type_of(literal) & types or "string" not in types or literal == "null":
        return literal
    return quote(LITERALS.get(written, written))


def _type_of(literal: str) -> set[str]:
    if literal == "null":
        return {"null"}
    if literal in ("true", "false"):
        return {"boolean"}
    return {"integer", "number"} if INTEGER.fullmatch(literal) else {"number"}
