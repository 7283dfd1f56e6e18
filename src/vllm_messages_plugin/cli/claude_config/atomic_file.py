"""Replaces a file in one step, and only if no other program has changed it since it was read.

Readers see the old content or the new, never a part, and a process that is killed leaves one of both.
"Compare, then rename" would leave a moment in which another program's change is lost. Where the system can
swap two files (Linux and macOS), the new file is swapped in, and the old one, now aside, is compared once
more: if it is not what was read, the files are swapped back and the caller reads again.
"""

import contextlib
import ctypes
import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NEW_FILE_MODE = 0o600  # the file may contain a key
TEMPORARY = ".vllm-messages-tmp"
STALE_SECONDS = 60.0
AT_CURRENT_DIRECTORY = -100
SWAP_FLAG = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
CANNOT_SWAP = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def replace(path: Path, content: bytes, mode: int = NEW_FILE_MODE) -> None:
    """Replace the content of a file, whatever it contains now.

    Args:
        path: The file; it need not exist, its directory must.
        content: The whole new content.
        mode: The permissions of the file.
    """
    temporary = _write_temporary(path, content, mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_if_unchanged(path: Path, content: bytes, before: bytes | None, mode: int, aside: Path) -> bool:
    """Replace the content of a file if it still is what the caller has read.

    Args:
        path: The file; its directory must exist.
        content: The whole new content.
        before: The content that the caller has read; None if there was no file.
        mode: The permissions of the file.
        aside: Receives the old file itself, so that even a program that has it open loses nothing.

    Returns:
        False if the file was changed by another program; it was left as it is.
    """
    temporary = _write_temporary(path, content, mode)
    try:
        if before is None:
            return _create(temporary, path)
        if not path.exists() or path.read_bytes() != before:
            return False
        if not _swap(temporary, path):
            return _replace_existing(temporary, path)
        if temporary.read_bytes() != before:
            _swap_back(temporary, path, content, aside)
            return False
        _move(temporary, aside)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def remove_if_unchanged(path: Path, before: bytes) -> bool:
    """Remove a file if it still is what the caller has read; return False if it was changed."""
    temporary = _temporary(path)
    try:
        path.replace(temporary)
        if temporary.read_bytes() == before:
            return True
        with contextlib.suppress(FileExistsError):  # a newer file has taken its place
            os.link(temporary, path)
        return False
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder."""
    for left in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def _temporary(path: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    os.close(handle)
    return Path(name)


def _write_temporary(path: Path, content: bytes, mode: int) -> Path:
    """Write the content to a file beside `path`, on the disk and with the owner of `path`."""
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError, PermissionError, AttributeError):
            owner = path.stat()
            os.chown(temporary, owner.st_uid, owner.st_gid)
        temporary.chmod(stat.S_IMODE(mode))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _create(temporary: Path, path: Path) -> bool:
    """Give the temporary file its name, unless a file of that name has appeared."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        temporary.replace(path)
    return True


def _replace_existing(temporary: Path, path: Path) -> bool:
    """Replace a file where two files cannot be swapped; False if it is gone."""
    if not path.exists():
        return False
    temporary.replace(path)
    return True


def _swap_back(temporary: Path, path: Path, content: bytes, aside: Path) -> None:
    """Undo a swap that displaced another program's change, which `temporary` has now."""
    if not _swap(temporary, path):
        _create(temporary, path)
    elif temporary.read_bytes() != content:
        # A third version came between the swaps: the newest stays in place, the other one is kept aside.
        _swap(temporary, path)
        _move(temporary, aside)


def _move(source: Path, target: Path) -> None:
    """Move a file, also to another file system."""
    source.chmod(NEW_FILE_MODE)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        replace(target, source.read_bytes())
        source.unlink()


def _swap(first: Path, second: Path) -> bool:
    """Swap two files in one step; False if the system cannot, or if `second` is gone."""
    function = _swap_function()
    if function is None:
        return False
    if function(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    code = ctypes.get_errno()
    if code in CANNOT_SWAP or code == errno.ENOENT:
        return False
    raise OSError(code, os.strerror(code), str(second))


def _swap_function() -> Callable[[bytes, bytes], int] | None:
    """Return the system's function that swaps two files, or None."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            rename = library.renamex_np
            return lambda first, second: int(rename(first, second, SWAP_FLAG))
        rename = library.renameat2
    except (OSError, TypeError, AttributeError):
        return None
    here = AT_CURRENT_DIRECTORY
    return lambda first, second: int(rename(here, first, here, second, SWAP_FLAG))
