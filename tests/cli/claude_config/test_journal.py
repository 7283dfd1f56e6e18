"""The journal: what it keeps, and when it is not one."""

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


def test_an_unreadable_journal_is_reported(home: Path) -> None:
    path = home / "settings.json"
    write(path, {"a": 1})
    kept(path).file.write_text("{")
    with pytest.raises(UnusableSettingsError, match="not a valid journal"):
        undo(path, kept(path), force=False)


def test_backups_and_journal_are_for_their_owner_only(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('{"env": {"ANTHROPIC_AUTH_TOKEN": "secret"}}')
    path.chmod(0o644)
    write(path, {"a": 1})
    modes = {stat.S_IMODE(entry.stat().st_mode) for entry in kept(path).folder.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "text", ["{", "1", "[1]", '[{"path": "p"}]', '[{"path": 1, "backup": null, "wrote": "w"}]', "[" * 100_000]
)
def test_a_journal_of_any_other_structure_is_refused(text: str, home: Path) -> None:
    journal = kept(home / "settings.json")
    journal.folder.mkdir()
    journal.file.write_text(text)
    with pytest.raises(UnusableSettingsError, match="not a valid journal"):
        journal.entries()


def test_a_journal_of_an_earlier_version_is_read(home: Path) -> None:
    journal = kept(home / "settings.json")
    journal.folder.mkdir()
    journal.file.write_text('[{"path": "/p", "backup": null, "wrote": "w"}]')
    assert [(entry.path, entry.mode) for entry in journal.entries()] == [("/p", None)]
