"""Reduces a JSON schema to what a grammar can express.

vLLM refuses a schema as a whole if one keyword in it has no grammar. For the arguments of a tool that is the
wrong trade: the rest of the schema is worth enforcing. So each schema in the tree is looked at by itself, and
of one that has no grammar the keywords in `DROPPABLE` are left out, one alone if that is enough. Schemas that
are too deep become `{}`, and whatever remains at the top describes an object.

Some keywords have a grammar that takes the engine seconds to build, for everybody: a pattern with a large
repetition, thousands of enum values. `schema_limits` finds them before anything is built.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from vllm_messages_plugin.translate.tools.schema_limits import (
    MAX_DEPTH,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    SCHEMAS,
    Schema,
    excesses,
    find_excess,
)

DROPPABLE: Final = (
    "minLength", "maxLength", "multipleOf", "uniqueItems", "minContains", "maxContains", "contains",
    "propertyNames", "patternProperties", "format", "pattern", "minItems", "maxItems", "minProperties",
    "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const",
    "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems",
    "if", "then", "else", "not",
)  # fmt: skip
"""Keywords that only narrow what a schema allows, in the order in which they are given up."""


NESTED: Final = frozenset({*SCHEMAS, *SCHEMA_LISTS, *SCHEMA_MAPS, "$ref"})
"""Keywords whose value holds schemas or names one."""


class ReducedSchema(NamedTuple):
    """A schema that has a grammar, and the keywords that it lost, in the order in which they stood."""

    schema: dict[str, Any]
    dropped: tuple[str, ...]


def reduce_schema(schema: Any, has_grammar: Callable[[Schema], bool]) -> ReducedSchema:
    """Return the part of a tool's schema that a grammar can express; at the least that of an object.

    Args:
        schema: the JSON schema of the arguments.
        has_grammar: whether a grammar can express a schema.
    """
    if not isinstance(schema, Mapping):
        return ReducedSchema({"type": "object"}, ())
    if not schema.keys() & {"type", "$ref", "anyOf", "oneOf", "allOf"}:
        schema = {**schema, "type": "object"}
    excess = find_excess(schema, "")
    if excess is not None and excess.whole:
        return ReducedSchema({"type": "object"}, ("the schema, which is too large",))
    if excess is None and has_grammar(schema):
        return ReducedSchema(dict(schema), ())
    dropped: dict[str, None] = {}
    reduced = _reduce(schema, has_grammar, dropped, 0)
    if has_grammar(reduced):
        return ReducedSchema(reduced, tuple(dropped))
    return ReducedSchema({"type": "object"}, (*dropped, "the rest of the schema"))


def _reduce(node: Any, has_grammar: Callable[[Schema], bool], dropped: dict[str, None], depth: int) -> Any:
    if not isinstance(node, Mapping):
        return node
    if depth > MAX_DEPTH:
        dropped["schemas that are nested too deep"] = None
        return {}
    lost = [keyword for keyword, _ in excesses(node)]
    lost += _without_grammar({key: node[key] for key in node if key not in lost}, has_grammar)
    dropped.update(dict.fromkeys(lost))
    kept: dict[str, Any] = {keyword: value for keyword, value in node.items() if keyword not in lost}
    for keyword in SCHEMAS:
        if isinstance(kept.get(keyword), Mapping):
            kept[keyword] = _reduce(kept[keyword], has_grammar, dropped, depth + 1)
    for keyword in SCHEMA_LISTS:
        if isinstance(listed := kept.get(keyword), list):
            kept[keyword] = [_reduce(inner, has_grammar, dropped, depth + 1) for inner in listed]
    for keyword in SCHEMA_MAPS:
        if isinstance(named := kept.get(keyword), Mapping):
            kept[keyword] = {
                name: _reduce(inner, has_grammar, dropped, depth + 1) for name, inner in named.items()
            }
    return kept


def _without_grammar(node: Schema, has_grammar: Callable[[Schema], bool]) -> list[str]:
    """The keywords that a schema must lose, looked at without what the schemas inside it demand."""
    alone = _shallow(node)
    candidates = [keyword for keyword in DROPPABLE if keyword in alone]
    if not candidates or has_grammar(alone):
        return []
    for keyword in candidates:
        if has_grammar({key: value for key, value in alone.items() if key != keyword}):
            return [keyword]
    lost: list[str] = []
    for keyword in candidates:
        lost.append(keyword)
        if has_grammar({key: value for key, value in alone.items() if key not in lost}):
            break
    return lost


def _shallow(node: Schema) -> dict[str, Any]:
    """A schema whose inner schemas demand nothing, except in droppable keywords: those are left as they are.

    The names of the properties stay, because some keywords have a grammar only where no property is named.
    """
    shallow: dict[str, Any] = {}
    for keyword, value in node.items():
        if keyword in DROPPABLE or keyword not in NESTED:
            shallow[keyword] = value
        elif keyword in SCHEMA_MAPS and isinstance(value, Mapping):
            shallow[keyword] = {name: {} for name in value}
    return shallow
