"""One writer at a time, between processes. `settings_file` holds it while it reads, merges and writes.

The lock is fcntl's where there is one: the system drops it with the process that held it. Elsewhere a file
that is created exclusively stands in; one that is old was left by a process that died.
"""

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.05
OLD_SECONDS = 60.0


class LockedError(OSError):
    """Another process held the lock for too long."""


@contextmanager
def locked(path: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of this name inside the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fcntl = _fcntl()
    with _by_system(fcntl, path, patience) if fcntl else _by_presence(path, patience):
        yield


def _fcntl() -> Any:
    """The module, or None where the system has none."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None


@contextmanager
def _by_system(fcntl: Any, path: Path, patience: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in _tries(path, patience):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                continue
        yield
    finally:
        os.close(handle)


@contextmanager
def _by_presence(path: Path, patience: float) -> Iterator[None]:
    present = path.with_name(path.name + ".held")
    for _ in _tries(path, patience):
        try:
            os.close(os.open(present, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            _drop_if_old(present)
    try:
        yield
    finally:
        present.unlink(missing_ok=True)


def _tries(path: Path, patience: float) -> Iterator[None]:
    """Try, wait, try again; a LockedError when the patience is at its end."""
    start = time.monotonic()
    yield
    while time.monotonic() - start < patience:
        time.sleep(POLL_SECONDS)
        yield
    raise LockedError(f"another process has held {path} for {patience:.0f} s; try again when it is done")


def _drop_if_old(present: Path) -> None:
    try:
        if time.time() - present.stat().st_mtime > OLD_SECONDS:
            present.unlink()
    except FileNotFoundError:
        return
