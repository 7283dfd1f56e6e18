"""The record of what claude-config wrote: a journal and backups, from which --undo restores.

Both lie in one directory beside Claude Code's own user settings, for every file that was written, also a
project's: nothing of them ends up in a repository.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from vllm_messages_plugin.cli.claude_config.atomic_file import replace
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.paths import user_settings_path

FOLDER = "vllm-messages"
JOURNAL, LOCK = "journal.json", "lock"


@dataclass(frozen=True)
class Entry:
    """One write: the file, its backup if there was a file before, and the hash of what was written."""

    path: str
    backup: str | None
    wrote: str


@dataclass(frozen=True)
class Journal:
    """The directory with the journal, the backups and the lock that every write holds."""

    folder: Path

    @property
    def lock(self) -> Path:
        """The lock file that every write holds."""
        return self.folder / LOCK

    @property
    def file(self) -> Path:
        """The journal file."""
        return self.folder / JOURNAL

    def entries(self) -> list[Entry]:
        """Return all writes that were not undone, oldest first.

        Raises:
            UnusableSettingsError: The journal is not what this program writes.
        """
        try:
            return [Entry(**entry) for entry in json.loads(self.file.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise UnusableSettingsError(f"{self.file} is not a valid journal ({error})") from None

    def back_up(self, path: Path) -> Path | None:
        """Copy a file into the directory; return the copy, or None if there is no file."""
        if not path.exists():
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        backup = self.folder / f"{path.name}.{datetime.now():%Y%m%d-%H%M%S-%f}.bak"
        replace(backup, path.read_bytes(), mode=0o600)
        return backup

    def add(self, path: Path, backup: Path | None) -> None:
        """Record a write that was just made."""
        entry = Entry(str(path), str(backup) if backup else None, fingerprint(path))
        self._write([*self.entries(), entry])

    def remove(self, entry: Entry) -> None:
        """Remove a write that was undone."""
        self._write([known for known in self.entries() if known != entry])

    def _write(self, entries: list[Entry]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        replace(self.file, json.dumps([asdict(entry) for entry in entries], indent=2).encode())


def user_journal(environ: Mapping[str, str]) -> Journal:
    """Return this user's journal."""
    return Journal(user_settings_path(environ).parent / FOLDER)


def fingerprint(path: Path) -> str:
    """Return a hash of a file's bytes, or another text if there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
