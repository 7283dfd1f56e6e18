"""Merges settings into Claude Code's own settings.json, keeping all else. claude-config calls it.

`merge` is pure; `write` touches the disk: under a lock, with a backup, then one atomic replacement.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm_messages_plugin.file_lock import locked

if TYPE_CHECKING:
    from vllm_messages_plugin.cli.claude_config.settings_undo import Records

SECRETS = {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"}
NEW_FILE_MODE = 0o600  # the file holds a key
ABSENT = object()
TRIES = 5  # at a file that changes while we merge
PROJECT_FILE = Path(".claude") / "settings.local.json"


class UnusableSettingsError(ValueError):
    """The file at hand is not one that can be merged into."""


@dataclass(frozen=True)
class Change:
    """One setting that a merge changes."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """The change in one line; keys are not shown."""
        if self.name.rpartition(".")[2] in SECRETS:
            return f"{self.name}: {'set' if self.old is ABSENT else 'changed'} (not shown)"
        old = "(not set)" if self.old is ABSENT else json.dumps(self.old, ensure_ascii=False)
        return f"{self.name}: {old} -> {json.dumps(self.new, ensure_ascii=False)}"


@dataclass(frozen=True)
class Written:
    """What `write` did: the file, its backup if there was one before, the changes."""

    path: Path
    backup: Path | None
    changes: list[Change]
    settings: dict[str, Any]


def user_settings_path(environ: Mapping[str, str]) -> Path:
    """Claude Code's user settings, wherever its configuration lives."""
    folder = environ.get("CLAUDE_CONFIG_DIR") or str(Path("~/.claude").expanduser())
    return Path(folder) / "settings.json"


def project_settings_path(project: Path) -> Path:
    """A project's settings for this user alone, which git is not meant to see."""
    return project / PROJECT_FILE


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    """The old settings with the new ones in them, and what that changes; lists are unioned."""
    return _merge_objects(old, new, "")


def _merge_objects(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], list[Change]]:
    merged, changes = dict(old), []
    for name, value in new.items():
        merged[name], found = _merge_values(old.get(name, ABSENT), value, prefix + name)
        changes += found
    return merged, changes


def _merge_values(old: Any, new: Any, name: str) -> tuple[Any, list[Change]]:
    if isinstance(new, Mapping):
        inner = {} if old is ABSENT else old
        if not isinstance(inner, dict):
            raise UnusableSettingsError(f"`{name}` is not an object but {json.dumps(inner)}")
        return _merge_objects(inner, new, name + ".")
    if isinstance(new, list) and isinstance(old, list):
        new = union(old, new)
    return new, [] if _same(old, new) else [Change(name, old, new)]


def _same(old: Any, new: Any) -> bool:
    """Equality that keeps true and 1 apart, as JSON does."""
    return old is not ABSENT and json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def union(old: list[Any], new: list[Any]) -> list[Any]:
    """The old entries, then the new ones; a new picker option replaces the old one for its model."""
    replaced = {entry["model"] for entry in new if isinstance(entry, dict) and "model" in entry}
    kept = [entry for entry in old if not (isinstance(entry, dict) and entry.get("model") in replaced)]
    return kept + [entry for entry in new if entry not in kept]


def read(path: Path) -> dict[str, Any]:
    """The settings in a file, none if there is no file; UnusableSettingsError if they make no sense."""
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8") or "{}")
    except ValueError as error:
        raise UnusableSettingsError(
            f"{path} is not valid JSON ({error}); mend it first, nothing was written"
        ) from None
    if not isinstance(settings, dict):
        raise UnusableSettingsError(f"{path} does not hold a JSON object; nothing was written")
    return settings


def write(path: Path, new: Mapping[str, Any], kept: "Records") -> Written:
    """Merge the new settings into a file, under the lock; a link to the file stays a link."""
    with locked(kept.lock):
        for _ in range(TRIES):
            if written := _write_once(path, path.resolve(), new, kept):
                return written
    raise UnusableSettingsError(f"{path} keeps changing under our hands; nothing was written")


def _write_once(path: Path, target: Path, new: Mapping[str, Any], kept: "Records") -> Written | None:
    """One try; None if the file changed meanwhile, for Claude Code itself takes no lock of ours."""
    seen = _bytes(target)
    merged, changes = _merged(path, target, new)
    if not changes:
        return Written(path, None, [], merged)
    if _bytes(target) != seen:
        return None
    backup = kept.back_up(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace(target, (json.dumps(merged, indent=2, ensure_ascii=False) + "\n").encode())
    kept.add(target, backup)
    return Written(path, backup, changes, merged)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _merged(path: Path, target: Path, new: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    try:
        return merge(read(target), new)
    except UnusableSettingsError as error:
        text = str(error)
        raise UnusableSettingsError(text if str(path) in text else f"{path}: {text}") from None


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    """Put the whole content in the file's place at once, with the file's mode or the given one."""
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else NEW_FILE_MODE
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
