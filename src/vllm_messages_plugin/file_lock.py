"""A lock on a file name that holds between processes.

Where the system has fcntl, the lock is advisory and is released when the process that held it ends. Elsewhere
the lock is a marker file that is created exclusively; a marker that is older than STALE_SECONDS was left by a
process that died, and is removed.
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
    """Another process held the lock for longer than the timeout."""


@contextmanager
def locked(path: Path, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of a file name inside the block.

    Args:
        path: The lock file. It is created, with its directory, and never removed.
        timeout: Seconds to wait for another process.

    Raises:
        LockedError: The lock was not free in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fcntl = _fcntl()
    with _lock_by_fcntl(fcntl, path, timeout) if fcntl else _lock_by_marker_file(path, timeout):
        yield


def _fcntl() -> Any:
    """Return the fcntl module, or None on a system without it."""
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
    """Yield once per attempt, with a pause between attempts; raise LockedError after the timeout."""
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
