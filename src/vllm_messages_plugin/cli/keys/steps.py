"""Reads and replaces keys files, and prints what is in them."""

import json
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vllm_messages_plugin.access.key_editing import Value, with_key, without_key
from vllm_messages_plugin.access.keys import ApiKey, digest_of, new_key, parse_keys
from vllm_messages_plugin.cli.claude_config.atomic_file import NEW_FILE_MODE, replace
from vllm_messages_plugin.file_lock import locked


def add(path: Path, name: str, limits: Mapping[str, Value], *, as_json: bool) -> None:
    """Add a key and print it.

    Args:
        path: The keys file; it is created if there is none.
        name: The name of the key.
        limits: The other fields of the key; empty ones are left out.
        as_json: Whether to print JSON.

    Raises:
        KeysError: The file or a field is invalid, or there is a key of this name.
    """
    key = new_key()
    given = {field: value for field, value in limits.items() if value}
    _change(path, lambda text: with_key(text, {"name": name, "sha256": digest_of(key).hex(), **given}))
    if as_json:
        print(json.dumps({"name": name, "key": key, "file": str(path)}))
        return
    print(key)
    Console(stderr=True).print(
        f"This is the key of {name}. It is shown this once: {path} has its digest only.", soft_wrap=True
    )


def revoke(path: Path, name: str, *, as_json: bool) -> None:
    """Remove a key.

    Raises:
        KeysError: The file is invalid, or there is no such key.
    """
    _change(path, lambda text: without_key(text, name))
    print(json.dumps({"revoked": name}) if as_json else f"{name} is revoked in {path}")


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Replace the file's text in one step, under a lock that every `vllm-messages keys` takes."""
    with locked(path.with_name(f".{path.name}.lock")):
        exists = path.exists()
        changed = change(path.read_text(encoding="utf-8") if exists else "")
        mode = stat.S_IMODE(path.stat().st_mode) if exists else NEW_FILE_MODE
        replace(path.resolve(), changed.encode(), mode)


def list_keys(path: Path, *, as_json: bool) -> None:
    """Print the keys of a file, without their digests."""
    keys = parse_keys(path.read_text(encoding="utf-8")).keys
    if as_json:
        rows = [key.model_dump(mode="json", exclude={"sha256"}, exclude_none=True) for key in keys]
        print(json.dumps(rows, indent=2))
        return
    table = Table("name", "models", "at once", "requests/min", "tokens/min", "priority", "expires")
    for key in keys:
        table.add_row(*_cells(key, datetime.now(UTC)))
    Console().print(table)


def _cells(key: ApiKey, now: datetime) -> tuple[str, ...]:
    numbers = (key.max_concurrent, key.requests_per_minute, key.tokens_per_minute)
    expires = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
    return (
        key.name,
        ", ".join(key.models) or "all",
        *("-" if number is None else f"{number:,}" for number in numbers),
        str(key.priority),
        f"{expires} (expired)" if key.expired(now) else expires,
    )
