"""Reduces a JSON schema to what a grammar can express.

vLLM refuses a schema as a whole if one keyword in it has no grammar. For the arguments of a tool that is the
wrong trade: the rest of the schema is worth enforcing. So each schema in the tree is looked at by itself, and
of one that has no grammar the keywords in `DROPPABLE` are left out, one alone if that is enough. Schemas that
are too deep become `{}`, and whatever remains at the top describes an object.

Some keywords have a grammar that takes the engine seconds to build, for everybody: a pattern with a large
repetition, thousands of enum values. `too_large` finds them before anything is built.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

DROPPABLE: Final = (
    "minLength", "maxLength", "multipleOf", "uniqueItems", "minContains", "maxContains", "contains",
    "propertyNames", "patternProperties", "format", "pattern", "minItems", "maxItems", "minProperties",
    "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const",
    "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems",
    "if", "then", "else", "not",
)  # fmt: skip
"""Keywords that only narrow what a schema allows, in the order in which they are given up."""

MAX_DEPTH: Final = 24
MAX_REPETITION: Final = 1_000
MAX_COUNT: Final = 100_000
MAX_VALUES: Final = 2_000
MAX_VALUE_CHARACTERS: Final = 100_000
MAX_PATTERN_CHARACTERS: Final = 2_000
MAX_SCHEMA_CHARACTERS: Final = 1_000_000

_REPETITION: Final = re.compile(r"\{(\d+)?(?:,(\d+)?)?\}")
_COUNTS: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_SCHEMAS: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
                   "additionalItems", "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
_SCHEMA_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SCHEMA_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

Schema = Mapping[str, Any]


class Excess(NamedTuple):
    """A keyword whose grammar would take too long to build: where it is, and what the limit is."""

    path: str
    reason: str


def too_large(schema: Any, path: str) -> Excess | None:
    """Return the first keyword of a schema whose grammar would take too long to build, by its path."""
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        return Excess(path, f"has more than {MAX_SCHEMA_CHARACTERS} characters")
    waiting: list[tuple[Any, str, int]] = [(schema, path, 0)]
    while waiting:
        node, here, depth = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        if depth > MAX_DEPTH:
            return Excess(here, f"is nested more than {MAX_DEPTH} levels deep")
        for keyword, reason in _excesses(node):
            return Excess(f"{here}.{keyword}", reason)
        waiting += [(inner, f"{here}.{place}", depth + 1) for place, inner in _inner(node)]
    return None


def _excesses(node: Schema) -> Iterator[tuple[str, str]]:
    """The keywords of one schema whose grammar would take too long to build."""
    patterns = {"pattern": node.get("pattern")}
    if isinstance(named := node.get("patternProperties"), Mapping):
        patterns |= {"patternProperties": max(named, key=_repetition, default=None)}
    for keyword, pattern in patterns.items():
        if isinstance(pattern, str) and len(pattern) > MAX_PATTERN_CHARACTERS:
            yield keyword, f"has more than {MAX_PATTERN_CHARACTERS} characters"
        elif isinstance(pattern, str) and _repetition(pattern) > MAX_REPETITION:
            yield keyword, f"repeats something more than {MAX_REPETITION} times"
    for keyword in _COUNTS:
        if isinstance(count := node.get(keyword), int | float) and count > MAX_COUNT:
            yield keyword, f"is larger than {MAX_COUNT}"
    if isinstance(values := node.get("enum"), list) and len(values) > MAX_VALUES:
        yield "enum", f"has more than {MAX_VALUES} values"
    for keyword in ("enum", "const"):
        if keyword in node and len(json.dumps(node[keyword])) > MAX_VALUE_CHARACTERS:
            yield keyword, f"has more than {MAX_VALUE_CHARACTERS} characters"


def _repetition(pattern: str) -> int:
    """The product of a pattern's repetitions, nested or not."""
    product = 1
    for least, most in _REPETITION.findall(pattern):
        product *= max(int((most or least or "1")[:9]), 1)
    return product


def _inner(node: Schema) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside a schema, by their path in it."""
    for keyword in _SCHEMAS:
        if isinstance(node.get(keyword), Mapping):
            yield keyword, node[keyword]
    for keyword in _SCHEMA_LISTS:
        if isinstance(listed := node.get(keyword), list):
            yield from ((f"{keyword}.{number}", inner) for number, inner in enumerate(listed))
    for keyword in _SCHEMA_MAPS:
        if isinstance(named := node.get(keyword), Mapping):
            yield from ((f"{keyword}.{name}", inner) for name, inner in named.items())


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
    if too_large(schema, "") is None and has_grammar(schema):
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
    lost = [keyword for keyword, _ in _excesses(node)]
    lost += _without_grammar({key: node[key] for key in node if key not in lost}, has_grammar)
    dropped.update(dict.fromkeys(lost))
    kept: dict[str, Any] = {keyword: value for keyword, value in node.items() if keyword not in lost}
    for keyword in _SCHEMAS:
        if isinstance(kept.get(keyword), Mapping):
            kept[keyword] = _reduce(kept[keyword], has_grammar, dropped, depth + 1)
    for keyword in _SCHEMA_LISTS:
        if isinstance(listed := kept.get(keyword), list):
            kept[keyword] = [_reduce(inner, has_grammar, dropped, depth + 1) for inner in listed]
    for keyword in _SCHEMA_MAPS:
        if isinstance(named := kept.get(keyword), Mapping):
            kept[keyword] = {
                name: _reduce(inner, has_grammar, dropped, depth + 1) for name, inner in named.items()
            }
    return kept


def _without_grammar(node: Schema, has_grammar: Callable[[Schema], bool]) -> list[str]:
    """The keywords that a schema must lose, looked at without the schemas inside it."""
    nested = {*_SCHEMAS, *_SCHEMA_LISTS, *_SCHEMA_MAPS, "$ref", "required"} - {*DROPPABLE}
    alone = {keyword: value for keyword, value in node.items() if keyword not in nested}
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
