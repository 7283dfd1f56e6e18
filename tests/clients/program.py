"""Runs a client's own program: JSON in, JSON out, an environment that holds the server and nothing else."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.server import Server

PROGRAMS = Path(__file__).with_name("programs")
RUN_SECONDS = 300


@dataclass(frozen=True)
class Told:
    """What each task of a client's program came to: a value, or the error it ended in."""

    outcomes: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, task: str) -> Any:
        assert "value" in self.outcomes[task], self.outcomes[task]["raised"]
        return self.outcomes[task]["value"]


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
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "x",
        "MODEL": server.model,
    }


def run(command: Sequence[str | Path], server: Server, given: Any, **variables: str) -> Any:
    """Run a program with this value as JSON on its input; return what it printed, read as JSON."""
    done = subprocess.run(
        [str(part) for part in command],
        input=json.dumps(given),
        env=environment(server) | variables,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def python_tasks(name: str, python: Path, server: Server, **variables: str) -> Told:
    """Have a Python program, which sees its own venv alone, do all its tasks in one process."""
    command = [python, "-E", "-s", "-B", PROGRAMS / name]
    return Told(run(command, server, None, **variables))
