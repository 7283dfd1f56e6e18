"""Reads a settings file safely, and formats settings as JSON.

The file belongs to the user and may be anything: a pipe that never ends, a loop of links, JSON that no parser
survives. Whatever is not a regular file with a JSON object is refused with a text that says why.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError

LARGEST_BYTES = 16 << 20
HALF_A_PAIR = "contains half of a surrogate pair (such as \\ud800), which cannot be written as UTF-8"


def resolve(path: Path) -> Path:
    """Return the file that a path leads to through symbolic links; it need not exist.

    Raises:
        UnusableSettingsError: The links form a loop.
    """
    try:
        resolved = path.resolve()
        if resolved.is_symlink():  # Python 3.13 returns a loop as it is
            raise RuntimeError
    except (RuntimeError, OSError):
        raise UnusableSettingsError(f"{path} is a loop of symbolic links; nothing was written") from None
    return resolved


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a settings file; None if there is no file.

    Raises:
        UnusableSettingsError: It is not a regular file, or too large for one of settings.
        OSError: It cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait forever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableSettingsError(f"{path} is not a regular file; nothing was written")
        if status.st_size > LARGEST_BYTES:
            raise UnusableSettingsError(
                f"{path} is larger than {LARGEST_BYTES >> 20} MiB; nothing was written"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def parse(content: bytes | None, path: Path) -> dict[str, Any]:
    """Return the settings in a file's content; an empty object for no content.

    Args:
        content: The file's bytes; None if there is no file.
        path: The file, for error messages.

    Raises:
        UnusableSettingsError: The content is not a JSON object.
    """
    if not content or not content.strip():
        return {}
    try:
        settings = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
        json.dumps(settings, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise UnusableSettingsError(f"{path} is nested too deeply; nothing was written") from None
    except UnicodeEncodeError:
        raise UnusableSettingsError(f"{path} {HALF_A_PAIR}; nothing was written") from None
    except ValueError as error:
        raise UnusableSettingsError(
            f"{path} is not valid JSON ({error}); repair it first, nothing was written"
        ) from None
    if not isinstance(settings, dict):
        raise UnusableSettingsError(f"{path} does not contain a JSON object; nothing was written")
    return settings


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read(path: Path) -> dict[str, Any]:
    """Return the settings in a file; an empty object if there is no file.

    Raises:
        UnusableSettingsError: The file is not one with a JSON object.
        OSError: It cannot be read.
    """
    return parse(read_bytes(path), path)


def to_bytes(settings: dict[str, Any]) -> bytes:
    """Return settings as the content of a file.

    Raises:
        UnusableSettingsError: A value cannot be written as UTF-8.
    """
    try:
        return (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        raise UnusableSettingsError(f"a setting {HALF_A_PAIR}; nothing was written") from None
