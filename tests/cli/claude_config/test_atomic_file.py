"""Replacing a file in one step, against other programs that change it at the worst moments."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config import atomic_file
from vllm_messages_plugin.cli.claude_config.atomic_file import (
    remove_if_unchanged,
    replace,
    replace_if_unchanged,
    sweep,
)


@pytest.fixture(params=["swap", "no swap"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that can swap two files, and one that cannot."""
    if request.param == "no swap":
        monkeypatch.setattr(atomic_file, "_swap_function", lambda: None)
    elif atomic_file._swap_function() is None:
        pytest.skip("this system cannot swap two files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "f").write_bytes(b"old")
    return tmp_path / "f"


def swap_after(monkeypatch: pytest.MonkeyPatch, *changes: Any) -> None:
    """Before its n-th swap, another program makes the n-th change."""
    original, pending = atomic_file._swap, list(changes)

    def swap(first: Path, second: Path) -> bool:
        if pending and (change := pending.pop(0)):
            change()
        return original(first, second)

    monkeypatch.setattr(atomic_file, "_swap", swap)


def others(path: Path, content: bytes) -> Any:
    """A change as programs make it: a new file that takes the old one's name."""

    def change() -> None:
        path.with_name("other").write_bytes(content)
        path.with_name("other").replace(path)

    return change


@pytest.mark.usefixtures("_system")
def test_a_file_that_is_as_it_was_read_is_replaced(path: Path, tmp_path: Path) -> None:
    assert replace_if_unchanged(path, b"new", b"old", 0o640, tmp_path / "aside")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {entry.name for entry in tmp_path.iterdir()} <= {"f", "aside"}


@pytest.mark.usefixtures("_system")
@pytest.mark.parametrize("before", [b"older", None])
def test_a_file_that_was_changed_is_left_alone(before: bytes | None, path: Path, tmp_path: Path) -> None:
    assert not replace_if_unchanged(path, b"new", before, 0o600, tmp_path / "aside")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


@pytest.mark.usefixtures("_system")
def test_a_file_that_is_gone_is_not_made_again(path: Path, tmp_path: Path) -> None:
    path.unlink()
    assert not replace_if_unchanged(path, b"new", b"old", 0o600, tmp_path / "aside")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_system")
def test_a_new_file_gets_the_given_mode(tmp_path: Path) -> None:
    assert replace_if_unchanged(tmp_path / "f", b"new", None, 0o644, tmp_path / "aside")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


def test_the_replaced_file_itself_is_kept_aside(path: Path, tmp_path: Path) -> None:
    """A program that has the old file open and writes to it later loses nothing."""
    with path.open("ab") as late:
        assert replace_if_unchanged(path, b"new", b"old", 0o600, tmp_path / "aside")
        late.write(b" and more")
    assert (tmp_path / "aside").read_bytes() == b"old and more"


def test_a_change_just_before_the_swap_survives(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_after(monkeypatch, others(path, b"theirs"))
    assert not replace_if_unchanged(path, b"new", b"old", 0o600, tmp_path / "aside")
    assert path.read_bytes() == b"theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_two_changes_around_the_swap_both_survive(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_after(monkeypatch, others(path, b"first"), others(path, b"second"))
    assert not replace_if_unchanged(path, b"new", b"old", 0o600, tmp_path / "aside")
    assert path.read_bytes() == b"second"
    assert (tmp_path / "aside").read_bytes() == b"first"


def test_the_kept_file_may_lie_on_another_file_system(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.replace

    def replace_nearby(self: Path, target: Path) -> Path:
        if self.name.startswith(".f.") and Path(target).name == "aside":
            raise OSError(errno.EXDEV, "another file system")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace_nearby)
    assert replace_if_unchanged(path, b"new", b"old", 0o600, tmp_path / "aside")
    assert (tmp_path / "aside").read_bytes() == b"old"


@pytest.mark.parametrize(("before", "removed"), [(b"old", True), (b"older", False)])
def test_a_file_is_removed_only_as_it_was_read(before: bytes, removed: bool, path: Path) -> None:
    assert remove_if_unchanged(path, before) == removed
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == ([] if removed else [b"old"])


def test_only_old_temporary_files_are_swept(path: Path) -> None:
    old, new = (path.parent / f".f.{name}.vllm-messages-tmp" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    sweep(path.parent)
    assert (old.exists(), new.exists(), path.exists()) == (False, True, True)


def test_a_failed_write_leaves_no_temporary_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        replace(path, b"new")
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"old"]
