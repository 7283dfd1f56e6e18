"""Reads and writes a Claude Code settings file.

A write holds the journal's lock, keeps a backup, and replaces the file in one step. Claude Code does not take
that lock, so a file that changed since it was read is read and merged again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.atomic_file import replace
from vllm_messages_plugin.cli.claude_config.journal import Journal
from vllm_messages_plugin.cli.claude_config.merge import Change, UnusableSettingsError, merge
from vllm_messages_plugin.file_lock import locked

# How often a file is merged again because another program changed it meanwhile.
ATTEMPTS = 5


@dataclass(frozen=True)
class Written:
    """The result of `write`: the file, its backup if there was a file before, the changes, all settings."""

    path: Path
    backup: Path | None
    changes: list[Change]
    settings: dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    """Return the settings in a file; an empty object if there is no file.

    Raises:
        UnusableSettingsError: The file does not contain a JSON object.
    """
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8") or "{}")
    except ValueError as error:
        raise UnusableSettingsError(
            f"{path} is not valid JSON ({error}); repair it first, nothing was written"
        ) from None
    if not isinstance(settings, dict):
        raise UnusableSettingsError(f"{path} does not contain a JSON object; nothing was written")
    return settings


def write(path: Path, new: Mapping[str, Any], journal: Journal) -> Written:
    """Merge new settings into a file; a symbolic link to the file remains a link.

    Args:
        path: The settings file.
        new: The settings to set.
        journal: Where the write is recorded.

    Raises:
        UnusableSettingsError: The file cannot be merged into; it was not changed.
        LockedError: Another process has held the lock for too long.
    """
    with locked(journal.lock):
        for _ in range(ATTEMPTS):
            if written := _write_once(path, path.resolve(), new, journal):
                return written
    raise UnusableSettingsError(
        f"{path} was changed by another program on each of {ATTEMPTS} attempts; nothing was written"
    )


def _write_once(path: Path, target: Path, new: Mapping[str, Any], journal: Journal) -> Written | None:
    """Make one attempt; None if the file changed meanwhile."""
    before = _bytes(target)
    merged, changes = _merged(path, target, new)
    if not changes:
        return Written(path, None, [], merged)
    if _bytes(target) != before:
        return None
    backup = journal.back_up(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace(target, (json.dumps(merged, indent=2, ensure_ascii=False) + "\n").encode())
    journal.add(target, backup)
    return Written(path, backup, changes, merged)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _merged(path: Path, target: Path, new: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    try:
        return merge(read(target), new)
    except UnusableSettingsError as error:
        text = str(error)
        raise UnusableSettingsError(text if str(path) in text else f"{path}: {text}") from None
