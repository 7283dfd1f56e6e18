"""The lock lets one process in at a time, with fcntl and without."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vllm_messages_plugin import file_lock
from vllm_messages_plugin.file_lock import LockedError, locked

ROUNDS = 20


@pytest.fixture(params=["fcntl", "presence"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "presence":
        monkeypatch.setattr(file_lock, "_fcntl", lambda: None)
    elif file_lock._fcntl() is None:
        pytest.skip("this system has no fcntl")
    return str(request.param)


def test_a_held_lock_is_waited_for_and_then_given_up(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with locked(path), pytest.raises(LockedError, match="another process"), locked(path, timeout=0.1):
        pass
    with locked(path, timeout=0.1):
        pass


def test_a_failure_inside_lets_the_lock_go(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock"):
        raise ZeroDivisionError
    with locked(tmp_path / "lock", timeout=0.1):
        pass


COUNT = """
import sys, time
from pathlib import Path
from vllm_messages_plugin import file_lock

folder, kind, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if kind == "presence":
    file_lock._fcntl = lambda: None
for _ in range(rounds):
    with file_lock.locked(folder / "lock"):
        value = int((folder / "number").read_text())
        time.sleep(0.001)
        (folder / "number").write_text(str(value + 1))
"""


def test_processes_take_turns(kind: str, tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path), kind, str(ROUNDS)]
    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert (tmp_path / "number").read_text() == str(2 * ROUNDS)


def test_what_a_dead_process_left_is_swept_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(file_lock, "_fcntl", lambda: None)
    left = tmp_path / "lock.held"
    left.touch()
    long_ago = time.time() - 2 * file_lock.STALE_SECONDS
    os.utime(left, (long_ago, long_ago))
    with locked(tmp_path / "lock", timeout=1):
        assert left.exists()
    assert not left.exists()


def test_a_system_without_fcntl_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(file_lock.importlib, "import_module", missing)
    assert file_lock._fcntl() is None
