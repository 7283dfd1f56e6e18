"""Detects schemas whose `$ref` cycle reaches no concrete type, so that no JSON value can satisfy them.

A grammar made of such a schema lets no token pass, and the engine fails.

A schema requires others of the same value: the one that its `$ref` names, those of its `allOf`, and the only
one of an `anyOf` or `oneOf`. The search goes depth first along these steps alone, never into a property or an
item, because a value has an end where its properties have one. A schema that is met again on the way requires
itself. Every schema is visited once, so the time is linear in the size of the whole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vllm_messages_plugin.formats.json_schema import resolve_reference

ALTERNATIVES = ("anyOf", "oneOf")


def has_unsatisfiable_cycle(schema: Any) -> bool:
    """Whether a `$ref` in a schema leads back to itself without passing a property or an item."""
    ended: set[int] = set()
    return any(_requires_itself(node, schema, ended) for node in _nodes(schema))


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


def _requires_itself(start: Mapping[str, Any], root: Any, ended: set[int]) -> bool:
    """Whether a schema requires itself; `ended` are the ids of those that are known not to."""
    path = {id(start)}
    waiting = [(start, _required(start, root))]
    while waiting:
        node, required = waiting[-1]
        inner = next(required, None)
        if inner is None:
            waiting.pop()
            path.discard(id(node))
            ended.add(id(node))
        elif id(inner) in path:
            return True
        elif id(inner) not in ended:
            path.add(id(inner))
            waiting.append((inner, _required(inner, root)))
    return False


def _required(node: Mapping[str, Any], root: Any) -> Iterator[Mapping[str, Any]]:
    """The schemas that a value must satisfy to satisfy this one."""
    found: list[Any] = []
    if isinstance(reference := node.get("$ref"), str):
        found.append(resolve_reference(reference, root))
    if isinstance(parts := node.get("allOf"), list):
        found += parts
    for key in ALTERNATIVES:
        if isinstance(parts := node.get(key), list) and len(parts) == 1:
            found += parts
    return (each for each in found if isinstance(each, Mapping))
