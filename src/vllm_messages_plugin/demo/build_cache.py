"""A cache of directories that are expensive to build.

A directory counts as complete if its manifest names the requested recipe and every file has the size that the
manifest records. A copy that was interrupted or partly deleted is therefore built again. Directories appear
under their final name only when they are complete.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from vllm_messages_plugin.file_lock import locked

MANIFEST = ".built.json"
# How long one process waits for another that builds the same directory.
LONGEST_BUILD_SECONDS = 900.0


def cache_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory for everything this package caches."""
    if named := environ.get("VLLM_MESSAGES_CACHE"):
        return Path(named).expanduser()
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "vllm-messages"
    return Path("~/.cache/vllm-messages").expanduser()


def build_once(target: Path, recipe: str, build: Callable[[Path], None]) -> Path:
    """Return the directory `target`, building it first if it is not complete.

    Safe with several processes at once: the first one builds, the others wait for it.

    Args:
        target: Where the directory is kept.
        recipe: Names what is built; another recipe builds the directory again.
        build: Fills the empty directory that it is given.
    """
    if is_complete(target, recipe):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock", timeout=LONGEST_BUILD_SECONDS):
        if not is_complete(target, recipe):
            _build_and_rename(target, recipe, build)
    return target


def is_complete(directory: Path, recipe: str) -> bool:
    """Whether `directory` was built by `recipe` and still has every file at its recorded size."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["recipe"] == recipe and manifest["files"] == _sizes(directory))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build_and_rename(target: Path, recipe: str, build: Callable[[Path], None]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        staging.chmod(0o755)
        build(staging)
        manifest = {"recipe": recipe, "files": _sizes(staging)}
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sizes(directory: Path) -> dict[str, int]:
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(directory)): path.stat().st_size for path in sorted(files)}
