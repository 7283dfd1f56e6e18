"""Undoes the last write to a settings file, from the journal and its backup."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.atomic_file import replace
from vllm_messages_plugin.cli.claude_config.journal import Entry, Journal, fingerprint
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
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
    """
    with locked(journal.lock):
        target = path.resolve()
        entry = next((entry for entry in reversed(journal.entries()) if entry.path == str(target)), None)
        if entry is None:
            raise UnusableSettingsError(f"nothing to undo: claude-config has not written {path}")
        changed = fingerprint(target) != entry.wrote
        if changed and not force:
            raise UnusableSettingsError(
                f"{path} was changed after claude-config wrote it, so nothing was undone. "
                "--undo --force restores it anyway, and keeps a copy of the present file beside the backups"
            )
        copy = journal.back_up(target) if changed else None
        _restore(target, entry)
        journal.remove(entry)
        return Undone(path, removed=not target.exists(), copy_of_changed=copy)


def _restore(target: Path, entry: Entry) -> None:
    if entry.backup is None:
        target.unlink(missing_ok=True)
        return
    backup = Path(entry.backup)
    try:
        before = backup.read_bytes()
    except FileNotFoundError:
        raise UnusableSettingsError(f"the backup {backup} is missing, so nothing was undone") from None
    replace(target, before)
    backup.unlink()


def to_json(undone: Undone) -> dict[str, Any]:
    """Return what was undone, for programs."""
    copy = str(undone.copy_of_changed) if undone.copy_of_changed else None
    return {"restored": str(undone.path), "removed": undone.removed, "put_aside": copy}
