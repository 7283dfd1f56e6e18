"""Hypothesis strategies for the types of Anthropic's SDK: TypedDicts, unions, literals, lists."""

import os
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import IO, Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions as te
from hypothesis import strategies as st

from wire.sdk_facts import fields, required

DEEPEST = 7
"""From this depth on, optional fields are left out and lists are empty where they may be."""

TEXTS = ("", "x", "claude", "Read", "toolu_1", "image/png", "https://", "2026-01-01", "é🙂\u2028", "a\x00b")
KEYS = ("type", "properties", "required", "a", "anyOf", "$ref", "items")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_nan=False), st.sampled_from(TEXTS)
)
JSON = st.recursive(
    SCALARS | st.sampled_from(("object", "string", "array", "#/$defs/a", "#")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
FILES = (IO, os.PathLike)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.sampled_from(TEXTS) | st.text(max_size=12),
    int: st.integers(-1, 4096) | st.integers(),
    float: st.floats(0, 2) | st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    object: JSON,
    Any: JSON,
}


@cache
def values(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return a strategy for the JSON values of a type.

    Args:
        shape: A type as the SDK writes it.
        depth: How many objects and lists are around it.
    """
    if shape in PLAIN:
        return PLAIN[shape]
    origin, arguments = get_origin(shape), get_args(shape)
    if origin in (Annotated, te.Required, te.NotRequired):
        return values(arguments[0], depth)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([values(part, depth) for part in arguments if is_sent(part)])
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return st.dictionaries(st.sampled_from(KEYS), values(arguments[1], depth + 1), max_size=3)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        most = 3 if depth < DEEPEST else 0
        return st.lists(st.deferred(lambda: values(arguments[0], depth + 1)), max_size=most)
    return objects(shape, depth)


def is_sent(part: Any) -> bool:
    """Whether a member of a union can be sent as JSON: files and the classes of replies can't."""
    if get_origin(part) in FILES:
        return False
    return part in PLAIN or get_origin(part) is not None or te.is_typeddict(part)


def objects(model: Any, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the objects of a TypedDict; mostly few of its optional fields are there."""
    needed = required(model)
    shapes = {name: shape for name, shape in fields(model).items() if not _is_transport(name)}
    mandatory = {name: _later(shapes[name], depth) for name in shapes if name in needed}
    optional = {name: _later(shape, depth) for name, shape in shapes.items() if name not in needed}
    if depth >= DEEPEST or not optional:
        return st.fixed_dictionaries(mandatory)
    chosen = st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({**mandatory, **{name: optional[name] for name in names}})
    )


def _later(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: values(shape, depth + 1))


def _is_transport(name: str) -> bool:
    """Fields that the SDK sends as headers."""
    return name in ("betas", "user_profile_id", "workspace_id")
