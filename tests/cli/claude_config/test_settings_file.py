"""The merge into Claude Code's settings, the file that is written, and how it is taken back."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config import settings_file
from vllm_messages_plugin.cli.claude_config.journal import Journal
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.settings_file import Written

URL = "http://localhost:8000"


def write(path: Path, new: dict[str, Any]) -> Written:
    return settings_file.write(path, new, kept(path))


def kept(path: Path) -> Journal:
    return Journal(path.parent.parent / "kept")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "claude"
    folder.mkdir()
    return folder


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
    [("{broken", "not valid JSON"), ("[]", "not contain a JSON object"), ('{"env": 1}', "`env`")],
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
    with pytest.raises(UnusableSettingsError, match="changed by another program"):
        write(path, {"a": 1})
    assert "a" not in json.loads(path.read_text())
