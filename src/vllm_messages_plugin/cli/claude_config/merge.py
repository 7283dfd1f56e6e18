"""Merges new settings into existing ones. Pure: values in, values out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The token of a server without a key: Claude Code needs some text.
NO_KEY = "vllm"
SECRETS = {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"}
ABSENT = object()


class UnusableSettingsError(ValueError):
    """The settings cannot be read, or new settings cannot be merged into them; the text says why."""


@dataclass(frozen=True)
class Change:
    """One setting that a merge changes: its dotted name, its old value (or ABSENT) and its new value."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Describe the change in one line, without the value of a key."""
        if self.name.rpartition(".")[2] in SECRETS:
            return f"{self.name}: {'set' if self.old is ABSENT else 'changed'} (not shown)"
        old = "(not set)" if self.old is ABSENT else json.dumps(self.old, ensure_ascii=False)
        return f"{self.name}: {old} -> {json.dumps(self.new, ensure_ascii=False)}"


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    """Merge new settings into old ones.

    Objects are merged key by key, lists become the union of both, any other value is replaced.

    Args:
        old: The existing settings; not modified.
        new: The settings to set.

    Returns:
        The merged settings, with the old ones in their order, and what changed.

    Raises:
        UnusableSettingsError: An object is to be merged into a value that is none.
    """
    return _merge_objects(old, new, "")


def _merge_objects(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], list[Change]]:
    merged, changes = dict(old), []
    for name, value in new.items():
        merged[name], found = _merge_values(old.get(name, ABSENT), value, prefix + name)
        changes += found
    return merged, changes


def _merge_values(old: Any, new: Any, name: str) -> tuple[Any, list[Change]]:
    if isinstance(new, Mapping):
        inner = {} if old is ABSENT else old
        if not isinstance(inner, dict):
            raise UnusableSettingsError(f"`{name}` is not an object but {json.dumps(inner)}")
        return _merge_objects(inner, new, name + ".")
    if isinstance(new, list) and isinstance(old, list):
        new = union(old, new)
    return new, [] if _equal(old, new) else [Change(name, old, new)]


def _equal(old: Any, new: Any) -> bool:
    """Compare as JSON does, where true and 1 differ."""
    return old is not ABSENT and json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def union(old: list[Any], new: list[Any]) -> list[Any]:
    """Return the old entries, then the new ones; a new picker option replaces the old one of its model."""
    replaced = {entry["model"] for entry in new if isinstance(entry, dict) and "model" in entry}
    kept = [entry for entry in old if not (isinstance(entry, dict) and entry.get("model") in replaced)]
    return kept + [entry for entry in new if entry not in kept]
