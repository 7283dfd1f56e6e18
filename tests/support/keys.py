"""Files of named API keys for tests."""

from pathlib import Path
from typing import Any

from vllm_messages_plugin.access.key_editing import with_key
from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import digest_of


def key_file(tmp_path: Path, **keys: dict[str, Any]) -> KeyFile:
    """A file with a key for each name, with the fields of its entry; the key of `ann` is `key-ann`."""
    text = ""
    for name, fields in keys.items():
        text = with_key(text, {"name": name, "sha256": digest_of(f"key-{name}").hex(), **fields})
    (tmp_path / "keys.toml").write_text(text)
    return KeyFile(tmp_path / "keys.toml")
