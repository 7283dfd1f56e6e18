"""Packages from npm, pinned, each installed once into the cache."""

import shutil
import subprocess
from pathlib import Path

import pytest

from vllm_messages_plugin.testing.cache import build_once, cache_home


def installed(package: str, version: str) -> Path:
    """Return the directory that holds the package's `node_modules`; skip the test where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to install a client with")
    pinned = f"{package}@{version}"
    name = pinned.strip("@").replace("/", "-")
    return build_once(cache_home() / "npm" / name, pinned, lambda empty: install(npm, pinned, empty))


def install(npm: str, pinned: str, directory: Path) -> None:
    """Install a package, without running its scripts."""
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run([npm, "install", "--prefix", str(directory), *quiet, pinned], check=True, timeout=600)
