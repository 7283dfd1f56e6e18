"""Undoes the last write to a settings file, from the journal and its backup."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.journal import Entry, Journal, fingerprint
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.settings_document import read_bytes, resolve
from vllm_messages_plugin.cli.claude_config.settings_file import restore
from vllm_messages_plugin.file_lock import locked


@dataclass(frozen=True)
class Undone:
    """The result of `undo`: the file, whether it was removed, and the copy of a file that had changed."""

    path: Path
    removed: bool
    copy_of_changed: Path | None


def undo(path: Path, journal: Journal, *, force: bool) -> Undone:
    """Undo the last write to a file.

    Args:
        path: The settings file.
        journal: Where writes are recorded.
        force: Whether to restore a file that was changed after the write; a copy of it is kept.

    Raises:
        UnusableSettingsError: There is nothing to undo, the file was changed, or the backup is missing.
        LockedError: Another process has held the lock for too long.
        OSError: The file cannot be read or written.
    """
    target = resolve(path)
    with locked(journal.lock):
        entry = _last_entry(path, target, journal)
        present = read_bytes(target)
        changed = fingerprint(present) != entry.wrote
        if changed and not force:
            raise UnusableSettingsError(
                f"{path} was changed after claude-config wrote it, so nothing was undone. "
                "--undo --force restores it anyway, and keeps a copy of the present file beside the backups"
            )
        copy = journal.back_up(target, present) if changed and present is not None else None
        if not restore(target, entry, present, journal):
            raise UnusableSettingsError(f"{path} was just changed by another program; nothing was undone")
        journal.remove(entry)
        if entry.backup:
            Path(entry.backup).unlink()
        return Undone(path, removed=entry.backup is None, copy_of_changed=copy)


def _last_entry(path: Path, target: Path, journal: Journal) -> Entry:
    entry = next((entry for entry in reversed(journal.entries()) if entry.path == str(target)), None)
    if entry is None:
        raise UnusableSettingsError(f"nothing to undo: claude-config has not written {path}")
    if entry.backup and not Path(entry.backup).is_file():
        raise UnusableSettingsError(f"the backup {entry.backup} is missing, so nothing was undone")
    return entry


def to_json(undone: Undone) -> dict[str, Any]:
    """Return what was undone, for programs."""
    copy = str(undone.copy_of_changed) if undone.copy_of_changed else None
    return {"restored": str(undone.path), "removed": undone.removed, "put_aside": copy}
