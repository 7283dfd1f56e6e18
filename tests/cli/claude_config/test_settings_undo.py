"""Undoing a write: what is restored, and what is refused."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config import settings_file
from vllm_messages_plugin.cli.claude_config.journal import Journal
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.settings_file import Written
from vllm_messages_plugin.cli.claude_config.settings_undo import undo


def write(path: Path, new: dict[str, Any]) -> Written:
    return settings_file.write(path, new, kept(path))


def kept(path: Path) -> Journal:
    return Journal(path.parent.parent / "kept")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "claude"
    folder.mkdir()
    return folder


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
    assert (done.copy_of_changed.read_text() if done.copy_of_changed else None) == change


def test_a_backup_that_is_gone_undoes_nothing(home: Path) -> None:
    path = home / "settings.json"
    path.write_text("{}")
    backup = write(path, {"a": 1}).backup
    assert backup is not None
    backup.unlink()
    with pytest.raises(UnusableSettingsError, match="is missing"):
        undo(path, kept(path), force=False)
    assert json.loads(path.read_text()) == {"a": 1}
