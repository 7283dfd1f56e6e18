"""Schemas that say of a value only that it is like itself: no text satisfies them.

Used by `conversation`, which refuses such an answer's schema, and by `engine.grammar`, which does not hold
a call to such a tool's. A grammar made of one lets no token pass, and the engine fails.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vllm_messages_plugin.formats.json_schema import resolve_reference

ALTERNATIVES = ("anyOf", "oneOf")


def is_endless(schema: Any) -> bool:
    """Whether a `$ref` somewhere in a schema leads back to itself without passing a property or an item."""
    ended: set[int] = set()
    return any(_loops(node, schema, ended) for node in _nodes(schema))


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a schema."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _loops(start: Mapping[str, Any], root: Any, ended: set[int]) -> bool:
    """Whether a value of `start` would have to be one of `start` first; `ended` are those known not to."""
    path = {id(start)}
    waiting = [(start, _needed(start, root))]
    while waiting:
        node, needed = waiting[-1]
        inner = next(needed, None)
        if inner is None:
            waiting.pop()
            path.discard(id(node))
            ended.add(id(node))
        elif id(inner) in path:
            return True
        elif id(inner) not in ended:
            path.add(id(inner))
            waiting.append((inner, _needed(inner, root)))
    return False


def _needed(node: Mapping[str, Any], root: Any) -> Iterator[Mapping[str, Any]]:
    """The schemas that a value must satisfy to satisfy this one; of alternatives, those without a choice."""
    found: list[Any] = []
    if isinstance(reference := node.get("$ref"), str):
        found.append(resolve_reference(reference, root))
    if isinstance(parts := node.get("allOf"), list):
        found += parts
    for key in ALTERNATIVES:
        if isinstance(parts := node.get(key), list) and len(parts) == 1:
            found += parts
    return (each for each in found if isinstance(each, Mapping))
