"""A keys file is read again when it changes, and its last valid version stays in force."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vllm_messages_plugin.access.key_file import CHECK_SECONDS, KeyFile
from vllm_messages_plugin.access.keys import KeysError, digest_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self) -> None:
        self.now += CHECK_SECONDS


def entry(name: str, key: str) -> str:
    return f'[[key]]\nname = "{name}"\nsha256 = "{digest_of(key).hex()}"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(entry("alice", "one"))
    return file


def change(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


def valid(keys: KeyFile, *presented: str) -> list[str]:
    return [found.name for key in presented if (found := keys.ring().find(key, NOW))]


def test_a_change_is_seen_within_a_second_and_not_looked_for_before(path: Path) -> None:
    clock = Clock()
    keys = KeyFile(path, clock)
    change(path, entry("bob", "two"))
    assert valid(keys, "one", "two") == ["alice"]
    clock.pass_by()
    assert valid(keys, "one", "two") == ["bob"]


@pytest.mark.parametrize("broken", ["[[key", b"\xff\xfe", entry("alice", "one") * 2])
def test_keys_stay_in_force_when_the_file_breaks_and_this_is_logged_once(
    path: Path, broken: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    keys = KeyFile(path, clock)
    change(path, broken)
    for _ in range(3):
        clock.pass_by()
        assert valid(keys, "one") == ["alice"]
    assert caplog.text.count("stay in force") == 1
    assert digest_of("one").hex() not in caplog.text
    change(path, entry("bob", "two"))
    clock.pass_by()
    assert valid(keys, "one", "two") == ["bob"]


def test_keys_stay_in_force_when_the_file_is_removed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    keys = KeyFile(path, clock)
    path.unlink()
    clock.pass_by()
    assert valid(keys, "one") == ["alice"]
    assert "No such file" in caplog.text


@pytest.mark.parametrize("text", [None, "[[key", b"\xff"])
def test_an_unreadable_file_is_refused_at_the_start(tmp_path: Path, text: str | bytes | None) -> None:
    file = tmp_path / "keys.toml"
    if text is not None:
        change(file, text)
    with pytest.raises(KeysError, match=r"keys\.toml can't be used"):
        KeyFile(file)
