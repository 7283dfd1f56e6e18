"""The record of what claude-config wrote: a journal and backups, from which --undo restores.

Both lie in one directory beside Claude Code's own user settings, for every file that was written, also a
project's: nothing of them ends up in a repository. For each file the last KEPT writes can be undone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from vllm_messages_plugin.cli.claude_config.atomic_file import replace, sweep
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.paths import user_settings_path
from vllm_messages_plugin.cli.claude_config.settings_document import read_bytes

FOLDER = "vllm-messages"
JOURNAL, LOCK = "journal.json", "lock"
KEPT = 10
NO_FILE = "no file"


@dataclass(frozen=True)
class Entry:
    """One write.

    Attributes:
        path: The file that was written.
        backup: The file's earlier content; None if there was no file.
        wrote: The fingerprint of what was written.
        mode: The permissions that the file had before; None if unknown.
    """

    path: str
    backup: str | None
    wrote: str
    mode: int | None = None

    def __post_init__(self) -> None:
        """Check the types, because the journal is a file that anybody can edit."""
        well = isinstance(self.path, str) and isinstance(self.wrote, str)
        if not (well and isinstance(self.backup, str | None) and isinstance(self.mode, int | None)):
            raise TypeError("a field of an entry has another type")


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
        content = read_bytes(self.file)
        if content is None:
            return []
        try:
            return [Entry(**entry) for entry in json.loads(content)]
        except (ValueError, TypeError, RecursionError) as error:
            raise UnusableSettingsError(
                f"{self.file} is not a valid journal ({error}), so nothing was changed. "
                "Move it away to continue; the backups beside it stay"
            ) from None

    def new_backup(self, path: Path) -> Path:
        """Return an unused name for a backup of a file."""
        return self.folder / f"{path.name}.{datetime.now():%Y%m%d-%H%M%S-%f}.bak"

    def back_up(self, path: Path, content: bytes) -> Path:
        """Write a backup of a file's content; return where it is."""
        backup = self.new_backup(path)
        replace(backup, content)
        return backup

    def add(self, entry: Entry) -> None:
        """Record a write that was just made; forget all but the last KEPT writes of its file."""
        entries = [*self.entries(), entry]
        same_file = [known for known in entries if known.path == entry.path]
        forgotten = same_file[:-KEPT]
        self._write([known for known in entries if known not in forgotten])
        for known in forgotten:
            if known.backup:
                Path(known.backup).unlink(missing_ok=True)

    def remove(self, entry: Entry) -> None:
        """Forget a write that was undone."""
        self._write([known for known in self.entries() if known != entry])

    def clean_up(self) -> None:
        """Remove what killed processes have left: temporary files, and old backups that no entry names."""
        sweep(self.folder)
        named = {entry.backup for entry in self.entries()}
        unnamed = sorted(path for path in self.folder.glob("*.bak") if str(path) not in named)
        for path in unnamed[:-KEPT]:
            path.unlink(missing_ok=True)

    def _write(self, entries: Sequence[Entry]) -> None:
        replace(self.file, json.dumps([asdict(entry) for entry in entries], indent=2).encode())


def user_journal(environ: Mapping[str, str]) -> Journal:
    """Return this user's journal."""
    return Journal(user_settings_path(environ).parent / FOLDER)


def fingerprint(content: bytes | None) -> str:
    """Return a hash of a file's content, or another text if there is no file."""
    return NO_FILE if content is None else hashlib.sha256(content).hexdigest()
