"""Values in the types that a tool's schema asks for, as far as that is beyond doubt.

Used by the readers of arguments. A schema is looked at through `SchemaNode`, which understands anyOf, oneOf,
allOf, $ref (also cyclic), lists of types, enum and const. Whatever does not fit stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.formats.scanning.repair import INTEGER, LITERALS, NUMBER, quote

ALTERNATIVES_LIMIT: Final = 64
Types = frozenset[str]
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
_BY_PYTHON: Final[dict[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_IMPLIED: Final = {"properties": "object", "additionalProperties": "object", "items": "array"}
# With which characters a value of a type begins.
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
_ROUND: Final = 2  # the parts of a decimal number


class SchemaNode:
    """A place in a schema. `types` is None where any type will do."""

    __slots__ = ("_flat", "_root", "types")

    def __init__(self, schema: object, root: Mapping[str, Any]) -> None:
        self._root = root
        self._flat = tuple(_alternatives(schema, root))
        self.types = _types(self._flat)

    @property
    def choices(self) -> frozenset[str] | None:
        """The strings that may stand here, where the schema lists them and takes nothing else."""
        listed = [
            value
            for flat in self._flat
            for value in ([flat["const"]] if "const" in flat else _listed(flat.get("enum")) or [None])
        ]
        found = frozenset(value for value in listed if isinstance(value, str))
        return found if listed and all(isinstance(value, str) for value in listed) else None

    def property(self, key: str) -> SchemaNode | None:
        """The place of a property; None if the schema says nothing of it."""
        for flat in self._flat:
            properties = flat.get("properties")
            if isinstance(properties, Mapping) and key in properties:
                return SchemaNode(properties[key], self._root)
        others = [flat["additionalProperties"] for flat in self._flat if "additionalProperties" in flat]
        return next((SchemaNode(other, self._root) for other in others if isinstance(other, Mapping)), None)

    def items(self) -> SchemaNode | None:
        """The place of an array's items."""
        found = (flat["items"] for flat in self._flat if isinstance(flat.get("items"), Mapping))
        schema = next(found, None)
        return None if schema is None else SchemaNode(schema, self._root)

    def keys(self) -> Iterator[str]:
        """The properties that are named."""
        for flat in self._flat:
            properties = flat.get("properties")
            if isinstance(properties, Mapping):
                yield from properties


def parameters_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, SchemaNode]:
    """The parameters of each tool, by its name."""
    found: dict[str, SchemaNode] = {}
    for tool in tools:
        function = tool.get("function", tool)
        name = function.get("name")
        schema = function.get("parameters") or function.get("input_schema") or {}
        if isinstance(name, str) and isinstance(schema, Mapping):
            found[name] = SchemaNode(schema, schema)
    return found


def _alternatives(schema: object, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The plain schemas that a schema is made of, each visited once, a bounded number of them."""
    waiting, seen, given = [schema], set[int](), 0
    while waiting and given < ALTERNATIVES_LIMIT:
        now = waiting.pop(0)
        if not isinstance(now, Mapping) or id(now) in seen:
            continue
        seen.add(id(now))
        inner = [other for word in ("anyOf", "oneOf", "allOf") for other in _listed(now.get(word))]
        if isinstance(now.get("$ref"), str):
            inner.append(_referred(now["$ref"], root))
        waiting = [*inner, *waiting][:ALTERNATIVES_LIMIT]
        if not inner or _own_types(now):
            given += 1
            yield now


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _referred(pointer: str, root: Mapping[str, Any]) -> object:
    """What a local reference points to."""
    if not pointer.startswith("#"):
        return None
    place: object = root
    for step in pointer[1:].split("/")[1:]:
        if not isinstance(place, Mapping):
            return None
        place = place.get(step.replace("~1", "/").replace("~0", "~"))
    return place


def _own_types(flat: Mapping[str, Any]) -> set[str]:
    """The types a plain schema names or implies; none if it takes any."""
    named = flat.get("type")
    names = [named] if isinstance(named, str) else [name for name in _listed(named) if isinstance(name, str)]
    if names:
        types = {ALIASES.get(name.lower(), name.lower()) for name in names}
        return types | {"null"} if flat.get("nullable") is True else types
    values = [flat["const"]] if "const" in flat else _listed(flat.get("enum"))
    if values:
        return {_BY_PYTHON.get(type(value), "string") for value in values}
    return {kind for word, kind in _IMPLIED.items() if word in flat}


def _types(flat: Sequence[Mapping[str, Any]]) -> Types | None:
    """All types of the alternatives; None if there are none, or one takes any."""
    each = [_own_types(alternative) for alternative in flat]
    return frozenset().union(*each) if each and all(each) else None


def takes_text(node: SchemaNode | None) -> bool:
    """Whether a string may stand here."""
    return node is None or node.types is None or "string" in node.types


def from_text(text: str, types: Types) -> str | None:
    """A scalar, as JSON, that text stands for in one of some types; None if it stays text."""
    word = text.strip()
    if "null" in types and word in ("null", "None"):
        return "null"
    if "boolean" in types and word.lower() in ("true", "false"):
        return word.lower()
    if "integer" in types:
        whole = _integer(word)
        if whole is not None:
            return whole
    if "number" in types and NUMBER.fullmatch(word):
        return word
    return None


def _integer(word: str) -> str | None:
    if INTEGER.fullmatch(word):
        return word
    parts = word.split(".")
    is_round = len(parts) == _ROUND and bool(INTEGER.fullmatch(parts[0])) and bool(parts[1])
    return parts[0] if is_round and not parts[1].strip("0") else None


def from_literal(literal: str, written: str, types: Types | None) -> str:
    """A JSON scalar in one of some types: a number or a truth value becomes text where text is asked."""
    if types is None or _type_of(literal) & types or "string" not in types or literal == "null":
        return literal
    return quote(LITERALS.get(written, written))


def _type_of(literal: str) -> set[str]:
    if literal == "null":
        return {"null"}
    if literal in ("true", "false"):
        return {"boolean"}
    return {"integer", "number"} if INTEGER.fullmatch(literal) else {"number"}
