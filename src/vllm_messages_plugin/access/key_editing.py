"""Adds keys to the text of a keys file and removes them. Everything else in the text stays as it is."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from vllm_messages_plugin.access.keys import KeysError, parse_keys

_TABLE: Final = re.compile(r"^[ \t]*\[\[\s*key\s*\]\]", re.MULTILINE)
_ESCAPES: Final = {ord("\\"): "\\\\", ord('"'): '\\"'}

Value = str | int | datetime | tuple[str, ...]


def with_key(text: str, fields: Mapping[str, Value]) -> str:
    """Return the text with one more key behind the others.

    Raises:
        KeysError: The text or a field is invalid, or there is a key of this name.
    """
    lines = "".join(f"{name} = {_written(value)}\n" for name, value in fields.items())
    start = text if not text or text.endswith("\n") else f"{text}\n"
    changed = f"{start}{chr(10) if start else ''}[[key]]\n{lines}"
    parse_keys(changed)
    return changed


def without_key(text: str, name: str) -> str:
    """Return the text without the key of a name.

    Raises:
        KeysError: The text is invalid, there is no such key, or it can't be removed alone.
    """
    names = [key.name for key in parse_keys(text).keys]
    if name not in names:
        raise KeysError(f"there is no key named {name!r}")
    starts = [found.start() for found in _TABLE.finditer(text)]
    if len(starts) != len(names):
        raise KeysError("the file does not list its keys as [[key]] tables: edit it by hand")
    number = names.index(name)
    end = starts[number + 1] if number + 1 < len(starts) else len(text)
    changed = text[: starts[number]] + text[end:]
    names.remove(name)
    if [key.name for key in parse_keys(changed).keys] != names:
        raise KeysError("the key can't be removed without touching others: edit the file by hand")
    return changed


def _written(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return value.isoformat() if isinstance(value, datetime) else str(value)
