"""Writes a Claude Code settings file.

A write holds the journal's lock, keeps a backup, and replaces the file in one step. Claude Code does not take
that lock, so a file that changes between reading and writing is read and merged again.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.atomic_file import (
    NEW_FILE_MODE,
    remove_if_unchanged,
    replace_if_unchanged,
    sweep,
)
from vllm_messages_plugin.cli.claude_config.journal import Entry, Journal, fingerprint
from vllm_messages_plugin.cli.claude_config.merge import NO_KEY, SECRETS, Change, UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.settings_document import parse, read_bytes, resolve, to_bytes
from vllm_messages_plugin.file_lock import locked

# How often a file is merged again because another program changed it meanwhile.
ATTEMPTS = 5
OTHERS = 0o077


@dataclass(frozen=True)
class Written:
    """The result of `write`.

    Attributes:
        path: The settings file.
        backup: Its earlier content; None if there was no file, or nothing changed.
        changes: What changed; empty if the file had all settings already.
        settings: All settings in the file now.
        made_private: The earlier permissions of a file that others can no longer read, because it has a key.
    """

    path: Path
    backup: Path | None
    changes: list[Change]
    settings: dict[str, Any]
    made_private: int | None = None


def write(
    path: Path, new: Mapping[str, Any], journal: Journal, new_file_mode: int = NEW_FILE_MODE
) -> Written:
    """Merge new settings into a file; a symbolic link to the file remains a link.

    Args:
        path: The settings file.
        new: The settings to set.
        journal: Where the write is recorded.
        new_file_mode: The permissions of a file that does not exist yet.

    Raises:
        UnusableSettingsError: The file cannot be merged into; it was not changed.
        LockedError: Another process has held the lock for too long.
        OSError: The file cannot be read or written.
    """
    target = resolve(path)
    with locked(journal.lock):
        journal.entries()  # a journal that cannot be read is reported before anything is written
        journal.clean_up()
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        for _ in range(ATTEMPTS):
            if written := _write_once(path, target, new, journal, new_file_mode):
                return written
    raise UnusableSettingsError(
        f"{path} was changed by another program on each of {ATTEMPTS} attempts; nothing was written"
    )


def _write_once(
    path: Path, target: Path, new: Mapping[str, Any], journal: Journal, new_file_mode: int
) -> Written | None:
    """Make one attempt; None if the file changed meanwhile."""
    before = read_bytes(target)
    merged, changes = _merged(path, before, new)
    mode = _mode(target, new_file_mode)
    private = _has_key(merged) and bool(mode & OTHERS)
    if not changes and not private:
        return Written(path, None, [], merged)
    content = to_bytes(merged) if changes else before or b""
    new_mode = mode & ~OTHERS if private else mode
    backup = journal.back_up(target, before) if before is not None else None
    if not replace_if_unchanged(target, content, before, new_mode, backup or journal.new_backup(target)):
        if backup:
            backup.unlink()
        return None
    _record(journal, Entry(str(target), str(backup) if backup else None, fingerprint(content), mode), content)
    return Written(path, backup, changes, merged, mode if private else None)


def _merged(path: Path, before: bytes | None, new: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    try:
        return merge(parse(before, path), new)
    except UnusableSettingsError as error:
        text = str(error)
        raise UnusableSettingsError(text if str(path) in text else f"{path}: {text}") from None


def _mode(target: Path, new_file_mode: int = NEW_FILE_MODE) -> int:
    """Return the permissions that the file has, or gets; refuse a file with several names."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return new_file_mode
    if status.st_nlink > 1:
        raise UnusableSettingsError(
            f"{target} has {status.st_nlink} hard links, and replacing it would separate them; nothing was "
            "written. Use a symbolic link instead"
        )
    if not os.access(target, os.W_OK):
        raise UnusableSettingsError(f"{target} is write-protected; nothing was written")
    return stat.S_IMODE(status.st_mode)


def _has_key(settings: Mapping[str, Any]) -> bool:
    env = settings.get("env")
    values = [env.get(name) for name in SECRETS] if isinstance(env, Mapping) else []
    return any(value not in (None, "", NO_KEY) for value in values)


def _record(journal: Journal, entry: Entry, content: bytes) -> None:
    """Record the write; if that fails, restore the file, so that no write is left that cannot be undone."""
    try:
        journal.add(entry)
    except BaseException:
        restore(Path(entry.path), entry, content, journal)
        raise


def restore(target: Path, entry: Entry, present: bytes | None, journal: Journal) -> bool:
    """Give a file the content and the permissions that it had before a write.

    Args:
        target: The file.
        entry: The write.
        present: The content that the caller has read; None if there is no file.
        journal: Keeps the replaced content aside until it is certain that nobody changed it.

    Returns:
        False if the file was changed by another program meanwhile; it was left as it is.
    """
    if entry.backup is None:
        return present is None or remove_if_unchanged(target, present)
    before = Path(entry.backup).read_bytes()
    mode = entry.mode if entry.mode is not None else _mode(target)
    aside = journal.new_backup(target)
    done = replace_if_unchanged(target, before, present, mode, aside)
    if done:
        aside.unlink(missing_ok=True)
    return done
