"""A keys file that is read again when it changes.

The file is looked at when a request comes, at most once a second, so a change needs no signal and no restart.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from vllm_messages_plugin.access.keys import KeyRing, KeysError, parse_keys

log = logging.getLogger("vllm.messages")

CHECK_SECONDS = 1.0
Version = tuple[int, int, int]


class KeyFile:
    """The keys of one file, as of its last valid version."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: The file.
            clock: Returns the time in seconds.

        Raises:
            KeysError: The file can't be read or is invalid.
        """
        self.path = path
        self._clock = clock
        self._ring, self._version = self._read()
        self._checked = clock()

    def ring(self) -> KeyRing:
        """Return the keys. A version of the file that can't be used is logged, and the last one stays."""
        now = self._clock()
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            self._read_again()
        return self._ring

    def _read_again(self) -> None:
        version = _version(self.path)
        if version == self._version:
            return
        self._version = version  # also of an invalid file, so that it is logged once
        try:
            self._ring, self._version = self._read()
        except KeysError as error:
            log.error("The keys of the last valid version stay in force: %s", error)
        else:
            log.info("Read %d API keys from %s", len(self._ring.keys), self.path)

    def _read(self) -> tuple[KeyRing, Version | None]:
        version = _version(self.path)
        try:
            return parse_keys(self.path.read_text(encoding="utf-8")), version
        except (OSError, UnicodeDecodeError, KeysError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise KeysError(f"the keys file {self.path} can't be used: {reason}") from None


def _version(path: Path) -> Version | None:
    """What changes with the file; None if it can't be found."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one system call
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
