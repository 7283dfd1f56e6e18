"""Merging settings: what is kept, what changes, and what cannot be merged."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config.merge import Change, UnusableSettingsError, merge, union
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for

URL = "http://localhost:8000"


MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"a": 1}, {"a": 1}, ["a: (not set) -> 1"]),
    ({"a": 1, "b": [2]}, {"a": 1}, {"a": 1, "b": [2]}, []),
    ({"env": {"X": "1"}}, {"env": {"Y": "2"}}, {"env": {"X": "1", "Y": "2"}}, ['env.Y: (not set) -> "2"']),
    ({"a": 1}, {"a": True}, {"a": True}, ["a: 1 -> true"]),
    ({"a": None}, {"a": 1}, {"a": 1}, ["a: null -> 1"]),
    (
        {"permissions": {"deny": ["Bash(rm:*)", "WebSearch"], "allow": ["Read"]}},
        {"permissions": {"deny": ["WebSearch", "WebFetch"]}},
        {"permissions": {"deny": ["Bash(rm:*)", "WebSearch", "WebFetch"], "allow": ["Read"]}},
        [
            'permissions.deny: ["Bash(rm:*)", "WebSearch"] -> ["Bash(rm:*)", "WebSearch", "WebFetch"]',
        ],
    ),
    (
        {"options": [{"model": "a", "label": "old"}, {"model": "b"}]},
        {"options": [{"model": "a", "label": "new"}]},
        {"options": [{"model": "b"}, {"model": "a", "label": "new"}]},
        [
            'options: [{"model": "a", "label": "old"}, {"model": "b"}] -> '
            '[{"model": "b"}, {"model": "a", "label": "new"}]'
        ],
    ),
]


@pytest.mark.parametrize(("old", "new", "merged", "changes"), MERGES)
def test_a_merge_keeps_other_settings_and_lists_its_changes(
    old: dict[str, Any], new: dict[str, Any], merged: dict[str, Any], changes: list[str]
) -> None:
    before = json.dumps(old)
    found, changed = merge(old, new)
    assert found == merged
    assert [str(change) for change in changed] == changes
    assert json.dumps(old) == before
    assert merge(found, new)[1] == []


def test_the_order_of_the_old_settings_is_kept() -> None:
    merged, _ = merge({"z": 1, "env": {}, "a": 2}, settings_for("m", 8192, URL))
    assert list(merged)[:3] == ["z", "env", "a"]


def test_a_union_has_each_entry_once() -> None:
    assert union(["a", "b"], ["b", "c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("old", [{"env": "text"}, {"permissions": {"deny": []}, "env": [1]}, {"env": None}])
def test_a_setting_of_another_kind_is_not_overwritten(old: dict[str, Any]) -> None:
    with pytest.raises(UnusableSettingsError, match="`env` is not an object"):
        merge(old, {"env": {"A": "1"}})


def test_keys_are_not_shown_in_changes() -> None:
    change = str(Change("env.ANTHROPIC_AUTH_TOKEN", "old-secret", "new-secret"))
    assert "secret" not in change
    assert "changed" in change
