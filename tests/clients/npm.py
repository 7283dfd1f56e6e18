"""Installs pinned npm packages, each set once into the cache."""

import shutil
import subprocess
from pathlib import Path

import pytest

from vllm_messages_plugin.demo.build_cache import build_once, cache_home


def installed(*pinned: str) -> Path:
    """Return the directory whose `node_modules` holds these packages; skip the test where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to install a client with")
    name = pinned[0].strip("@").replace("/", "-")
    return build_once(
        cache_home() / "npm" / name, " ".join(pinned), lambda empty: install(npm, pinned, empty)
    )


def install(npm: str, pinned: tuple[str, ...], directory: Path) -> None:
    """Install packages, without running their scripts."""
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run([npm, "install", "--prefix", str(directory), *quiet, *pinned], check=True, timeout=600)


def program(source: Path, directory: Path, *pinned: str) -> Path:
    """Copy a program beside the packages' node_modules, where node looks for what it imports."""
    modules = directory / "node_modules"
    if not modules.exists():
        modules.symlink_to(installed(*pinned) / "node_modules")
    return Path(shutil.copy(source, directory))
