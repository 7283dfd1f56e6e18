"""Runs a program in a pseudo-terminal, collects its output and types input.

The screen is not drawn: `written` is all text so far without its control sequences, where a jump of the
cursor counts as a space.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROWS, COLUMNS = 50, 160
PATIENCE = 60
JUMP = re.compile(r"\x1b\[[0-9;]*[CGHf]")
CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|.)")


class Terminal:
    """The user's side of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._bytes = bytearray()
        self._marks: list[tuple[float, int]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._descriptor, 65_536)
            except OSError:  # the program has ended
                return
            self._bytes += piece
            self._marks.append((time.monotonic(), len(self._bytes)))

    @property
    def raw(self) -> bytes:
        """All bytes so far."""
        return bytes(self._bytes)

    @property
    def marks(self) -> list[tuple[float, int]]:
        """How many bytes had arrived at which time."""
        return list(self._marks)

    @property
    def written(self) -> str:
        text = self.raw.decode("utf-8", "replace")
        return re.sub(r"\s+", " ", CONTROL.sub("", JUMP.sub(" ", text)))

    def wait_for(self, words: str, since: int = 0, seconds: float = PATIENCE) -> int:
        """Wait until these words are written past a place in `written`; return where they end."""
        deadline = time.monotonic() + seconds
        while (found := self.written.find(words, since)) < 0:
            assert time.monotonic() < deadline, f"{words!r} was not written: {self.written[-3000:]}"
            time.sleep(0.1)
        return found + len(words)

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the program has ended and all it wrote is read."""
        self._reader.join(seconds)
        assert not self._reader.is_alive(), f"the program did not end: {self.written[-3000:]}"

    def enter(self, line: str) -> None:
        """Type a line and, when the program has taken it in, the return key."""
        for keys in (line, "\r"):
            os.write(self._descriptor, keys.encode())
            time.sleep(0.5)


@contextmanager
def opened(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    place: Path,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> Iterator[Terminal]:
    """Run a program in a terminal for the length of the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    named = {**env, "TERM": "xterm-256color"}
    process = subprocess.Popen(list(command), cwd=place, env=named, start_new_session=True, **streams)
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        os.close(ours)
