"""What claude-config wrote, so that it can be taken back. `settings_file` records, --undo restores.

Beside Claude Code's own user settings lies a folder with a journal and the backups, for all files that
were written, a project's too: nothing of it ends up in a repository.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.settings_file import (
    UnusableSettingsError,
    replace,
    user_settings_path,
)
from vllm_messages_plugin.file_lock import locked

FOLDER = "vllm-messages"
JOURNAL, LOCK = "journal.json", "lock"


@dataclass(frozen=True)
class Entry:
    """One write: the file, its backup if there was a file before, and the hash of what was written."""

    path: str
    backup: str | None
    wrote: str


@dataclass(frozen=True)
class Undone:
    """What --undo did: the file, whether it is gone now, and where a changed file was put aside."""

    path: Path
    removed: bool
    put_aside: Path | None


@dataclass(frozen=True)
class Records:
    """The folder with the journal and the backups."""

    folder: Path

    @property
    def lock(self) -> Path:
        """The lock that every write holds."""
        return self.folder / LOCK

    def entries(self) -> list[Entry]:
        """All writes that were not taken back, oldest first."""
        try:
            return [Entry(**entry) for entry in json.loads(self._journal.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise UnusableSettingsError(f"{self._journal} makes no sense ({error})") from None

    def back_up(self, path: Path) -> Path | None:
        """Keep a file's bytes; None if there is no file."""
        if not path.exists():
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        backup = self.folder / f"{path.name}.{datetime.now():%Y%m%d-%H%M%S-%f}.bak"
        replace(backup, path.read_bytes(), mode=0o600)
        return backup

    def add(self, path: Path, backup: Path | None) -> None:
        """Note a write that was just made."""
        entry = Entry(str(path), str(backup) if backup else None, fingerprint(path))
        self._write([*self.entries(), entry])

    def drop(self, entry: Entry) -> None:
        """Forget a write that was taken back."""
        self._write([known for known in self.entries() if known != entry])

    def _write(self, entries: list[Entry]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        replace(self._journal, json.dumps([asdict(entry) for entry in entries], indent=2).encode())

    @property
    def _journal(self) -> Path:
        return self.folder / JOURNAL


def records(environ: Mapping[str, str]) -> Records:
    """The records of this user."""
    return Records(user_settings_path(environ).parent / FOLDER)


def fingerprint(path: Path) -> str:
    """A hash of a file's bytes; another one for no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"


def undo(path: Path, kept: Records, *, force: bool) -> Undone:
    """Take back the last write to a file; one that changed since is left alone, or with `force` put aside."""
    with locked(kept.lock):
        target = path.resolve()
        entry = next((entry for entry in reversed(kept.entries()) if entry.path == str(target)), None)
        if entry is None:
            raise UnusableSettingsError(f"nothing to undo: claude-config has not written {path}")
        changed = fingerprint(target) != entry.wrote
        if changed and not force:
            raise UnusableSettingsError(
                f"{path} was changed after claude-config wrote it, so nothing was undone. "
                "--undo --force restores it all the same, and keeps the present file beside the backups"
            )
        aside = kept.back_up(target) if changed else None
        _restore(target, entry)
        kept.drop(entry)
        return Undone(path, removed=not target.exists(), put_aside=aside)


def _restore(target: Path, entry: Entry) -> None:
    if entry.backup is None:
        target.unlink(missing_ok=True)
        return
    backup = Path(entry.backup)
    try:
        before = backup.read_bytes()
    except FileNotFoundError:
        raise UnusableSettingsError(f"the backup {backup} is gone, so nothing was undone") from None
    replace(target, before)
    backup.unlink()


def to_json(undone: Undone) -> dict[str, Any]:
    """What was undone, for programs."""
    aside = str(undone.put_aside) if undone.put_aside else None
    return {"restored": str(undone.path), "removed": undone.removed, "put_aside": aside}
