"""Finds names in the installed vLLM, wherever this version keeps them.

vLLM moves modules between releases, so a name is looked up in every place it has stood in; versions are
never compared.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any


class MissingFeatureError(RuntimeError):
    """The installed vLLM lacks a name that this plugin needs."""


def require(*candidates: str) -> Any:
    """Return the first of several `module:name` that exists.

    Raises:
        MissingFeatureError: the installed vLLM has none of them.
    """
    for candidate in candidates:
        module, _, name = candidate.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise MissingFeatureError(f"this vLLM has none of: {', '.join(candidates)}")


def optional(*candidates: str) -> Any:
    """Return the first of several `module:name` that exists, or None."""
    try:
        return require(*candidates)
    except MissingFeatureError:
        return None


def accepted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of `values` whose names are parameters of `function`."""
    parameters = _parameter_names(getattr(function, "__func__", function))
    return {name: value for name, value in values.items() if name in parameters}


@lru_cache(maxsize=64)
def _parameter_names(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
