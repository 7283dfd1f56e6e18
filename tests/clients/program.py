"""Runs a client's own program: JSON in, JSON out, an environment that holds the server and nothing else."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vllm_messages_plugin.testing.server import Server

PROGRAMS = Path(__file__).with_name("programs")
RUN_SECONDS = 180


def environment(server: Server, home: Path | None = None) -> dict[str, str]:
    """Return what a client sees: the server, no proxy, no key of ours, and telemetry switched off."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home or "/nonexistent"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
        "no_proxy": "*",
        "DO_NOT_TRACK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "BASE_URL": server.url,
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "x",
        "MODEL": server.model,
    }


def run(command: Sequence[str | Path], server: Server, *given: Any, **variables: str) -> Any:
    """Run a program with these values as JSON lines on its input; return what it printed, read as JSON."""
    done = subprocess.run(
        [str(part) for part in command],
        input="\n".join(json.dumps(value) for value in given),
        env=environment(server) | variables,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def python_program(name: str, python: Path, task: str) -> list[str | Path]:
    """Return the command that does one task of a Python program, which sees its own venv alone."""
    return [python, "-I", "-B", PROGRAMS / name, task]
