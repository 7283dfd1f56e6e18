"""Installs pinned Python clients, each in a venv of its own, once into the cache.

Their requirements conflict with each other and with vLLM's.
"""

import subprocess
import sys
from pathlib import Path

from vllm_messages_plugin.demo.build_cache import build_once, cache_home

INSTALL_SECONDS = 900


def python_with(name: str, *pinned: str) -> Path:
    """Return the Python of the venv that holds these packages."""
    recipe = " ".join(pinned)
    target = cache_home() / "venv" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    return build_once(target, recipe, lambda empty: install(pinned, empty)) / "bin" / "python"


def install(pinned: tuple[str, ...], directory: Path) -> None:
    """Create a venv without pip and install from outside; it is moved later, so its scripts don't run."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(directory / "bin" / "python"),
        "install",
        "--no-input",
    ]
    done = subprocess.run([*pip, *pinned], capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"pip could not install {pinned}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
