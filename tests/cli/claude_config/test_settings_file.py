"""The merge into Claude Code's settings, the file that is written, and how it is taken back."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config import settings_file, settings_undo
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for
from vllm_messages_plugin.cli.claude_config.settings_file import (
    Change,
    UnusableSettingsError,
    Written,
    merge,
    project_settings_path,
    union,
    user_settings_path,
)
from vllm_messages_plugin.cli.claude_config.settings_undo import Records, records, undo

URL = "http://localhost:8000"


def write(path: Path, new: dict[str, Any]) -> Written:
    return settings_file.write(path, new, kept(path))


def kept(path: Path) -> Records:
    return Records(path.parent.parent / "kept")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "claude"
    folder.mkdir()
    return folder


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
def test_a_merge_keeps_all_else_and_says_what_it_changes(
    old: dict[str, Any], new: dict[str, Any], merged: dict[str, Any], changes: list[str]
) -> None:
    before = json.dumps(old)
    found, told = merge(old, new)
    assert found == merged
    assert [str(change) for change in told] == changes
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


def test_the_settings_live_where_claude_code_looks() -> None:
    assert project_settings_path(Path("/p")) == Path("/p/.claude/settings.local.json")
    assert records({"CLAUDE_CONFIG_DIR": "/x"}).folder == Path("/x/vllm-messages")
    assert user_settings_path({"CLAUDE_CONFIG_DIR": "/x"}) == Path("/x/settings.json")
    assert user_settings_path({}) == Path("~/.claude/settings.json").expanduser()


def test_a_new_file_is_for_its_owner_only(home: Path) -> None:
    path = home / "new" / "settings.json"
    written = write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written.backup is None
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_a_file_keeps_its_mode_and_leaves_a_backup(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"theme": "dark"}')
    path.chmod(0o640)
    written = write(path, {"a": "é"})
    assert json.loads(path.read_text()) == {"theme": "dark", "a": "é"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert written.backup is not None
    assert written.backup.read_text() == '{"theme": "dark"}'
    assert written.backup.parent == kept(path).folder
    assert len(list(home.iterdir())) == 1


def test_a_link_stays_a_link(home: Path) -> None:
    target, link = home / "dotfiles.json", home / "settings.json"
    target.write_text("{}")
    link.symlink_to(target)
    write(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}


def test_nothing_new_writes_nothing(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"a":1}')
    assert write(path, {"a": 1}).changes == []
    assert path.read_text() == '{"a":1}'
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("{broken", "not valid JSON"), ("[]", "not hold a JSON object"), ('{"env": 1}', "`env`")],
)
def test_a_file_that_makes_no_sense_is_refused_and_left_alone(home: Path, text: str, words: str) -> None:
    path = home / "settings.json"
    path.write_text(text)
    with pytest.raises(UnusableSettingsError, match=words) as caught:
        write(path, {"env": {"A": "1"}})
    assert str(path) in str(caught.value)
    assert path.read_text() == text
    assert len(list(home.iterdir())) == 1


def test_an_empty_file_is_no_settings(home: Path) -> None:
    path = home / "settings.json"
    path.touch()
    write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_failed_write_leaves_no_rubbish(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(home / "settings.json", {"a": 1})
    assert list(home.iterdir()) == []


def test_writes_are_taken_back_one_by_one(home: Path) -> None:
    path = home / "settings.json"
    write(path, {"a": 1})
    write(path, {"a": 2})
    assert not undo(path, kept(path), force=False).removed
    assert json.loads(path.read_text()) == {"a": 1}
    assert undo(path, kept(path), force=False).removed
    assert not path.exists()
    with pytest.raises(UnusableSettingsError, match="nothing to undo"):
        undo(path, kept(path), force=False)


def test_taking_back_keeps_the_bytes_the_mode_and_the_link(home: Path) -> None:
    target, link = home / "dotfiles.json", home / "settings.json"
    target.write_text('{"b":   1}')
    target.chmod(0o640)
    link.symlink_to(target)
    write(link, {"a": 1})
    undo(link, kept(link), force=False)
    assert link.is_symlink()
    assert target.read_text() == '{"b":   1}'
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_each_file_has_its_own_past(home: Path) -> None:
    first, second = home / "a.json", home / "b.json"
    write(first, {"a": 1})
    write(second, {"b": 1})
    undo(first, kept(first), force=False)
    assert not first.exists()
    assert json.loads(second.read_text()) == {"b": 1}


@pytest.mark.parametrize("change", ["{}", None], ids=["edited", "removed"])
def test_a_file_that_changed_since_is_put_back_only_by_force(home: Path, change: str | None) -> None:
    path = home / "settings.json"
    path.write_text('{"old": 1}')
    write(path, {"a": 1})
    if change is None:
        path.unlink()
    else:
        path.write_text(change)
    with pytest.raises(UnusableSettingsError, match="changed after"):
        undo(path, kept(path), force=False)
    done = undo(path, kept(path), force=True)
    assert path.read_text() == '{"old": 1}'
    assert (done.put_aside.read_text() if done.put_aside else None) == change


def test_a_backup_that_is_gone_undoes_nothing(home: Path) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    backup = write(path, {"a": 1}).backup
    assert backup is not None
    backup.unlink()
    with pytest.raises(UnusableSettingsError, match="is gone"):
        undo(path, kept(path), force=False)
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_journal_that_makes_no_sense_is_said(home: Path) -> None:
    path = home / "settings.json"
    write(path, {"a": 1})
    (kept(path).folder / settings_undo.JOURNAL).write_text("{")
    with pytest.raises(UnusableSettingsError, match="makes no sense"):
        undo(path, kept(path), force=False)


def test_backups_and_journal_are_for_their_owner_only(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"env": {"ANTHROPIC_AUTH_TOKEN": "secret"}}')
    path.chmod(0o644)
    write(path, {"a": 1})
    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in kept(path).folder.iterdir()}
    assert modes == {0o600}


def test_a_file_that_changes_while_it_is_merged_is_merged_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    others = iter(['{"theirs": 1}'])

    def merge_slowly(old: dict[str, Any], new: dict[str, Any]) -> Any:
        if (text := next(others, None)) is not None:
            path.write_text(text)
        return merge(old, new)

    monkeypatch.setattr(settings_file, "merge", merge_slowly)
    write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"theirs": 1, "a": 1}


def test_a_file_that_never_stops_changing_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "settings.json"
    numbers = iter(range(100))

    def merge_slowly(old: dict[str, Any], new: dict[str, Any]) -> Any:
        path.write_text(json.dumps({"theirs": next(numbers)}))
        return merge(old, new)

    monkeypatch.setattr(settings_file, "merge", merge_slowly)
    with pytest.raises(UnusableSettingsError, match="keeps changing"):
        write(path, {"a": 1})
    assert "a" not in json.loads(path.read_text())
