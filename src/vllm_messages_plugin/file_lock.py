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

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05
STALE_SECONDS = 60.0


class LockedError(OSError):
    """Another process held the lock for too long."""


@contextmanager
def locked(path: Path, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of this name inside the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fcntl = _fcntl()
    with _lock_by_fcntl(fcntl, path, timeout) if fcntl else _lock_by_marker_file(path, timeout):
        yield


def _fcntl() -> Any:
    """The module, or None where the system has none."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None


@contextmanager
def _lock_by_fcntl(fcntl: Any, path: Path, timeout: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in _attempts(path, timeout):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                continue
        yield
    finally:
        os.close(handle)


@contextmanager
def _lock_by_marker_file(path: Path, timeout: float) -> Iterator[None]:
    marker = path.with_name(path.name + ".held")
    for _ in _attempts(path, timeout):
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            _remove_if_stale(marker)
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def _attempts(path: Path, timeout: float) -> Iterator[None]:
    """Try, wait, try again; a LockedError when the patience is at its end."""
    start = time.monotonic()
    yield
    while time.monotonic() - start < timeout:
        time.sleep(POLL_SECONDS)
        yield
    raise LockedError(f"another process has held {path} for {timeout:.0f} s; try again when it is done")


def _remove_if_stale(marker: Path) -> None:
    try:
        if time.time() - marker.stat().st_mtime > STALE_SECONDS:
            marker.unlink()
    except FileNotFoundError:
        return
