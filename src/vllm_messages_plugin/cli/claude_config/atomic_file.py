"""Replaces a file's content in one step: readers see the old content or the new, never a part."""

import os
import tempfile
from pathlib import Path

NEW_FILE_MODE = 0o600  # the file may contain a key


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace the content of a file atomically, and flush it to the disk.

    Args:
        path: The file; it need not exist, its directory must.
        content: The whole new content.
        mode: The permissions; None keeps the file's own, or makes a new file private to its owner.
    """
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else NEW_FILE_MODE
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
