"""Runs a client's program, which reads and writes JSON and knows only the server."""

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
class Outcomes:
    """The outcome of each task of a client's program: a value or an error."""

    outcomes: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, task: str) -> Any:
        assert "value" in self.outcomes[task], self.outcomes[task]["raised"]
        return self.outcomes[task]["value"]


def environment(server: Server, home: Path | None = None) -> dict[str, str]:
    """Return a client's environment: the server, no proxy, no API key of this machine, no telemetry."""
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
    """Run a program with this value as JSON on its stdin; return its stdout parsed as JSON."""
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


def python_tasks(name: str, python: Path, server: Server, **variables: str) -> Outcomes:
    """Run all tasks of a Python program in one process, isolated to its own venv."""
    command = [python, "-E", "-s", "-B", PROGRAMS / name]
    return Outcomes(run(command, server, None, **variables))
