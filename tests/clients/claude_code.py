"""Runs Claude Code: the pinned version from npm, in a home directory of its own, with loopback only."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clients import npm

PACKAGE, VERSION = "@anthropic-ai/claude-code", "2.1.332"
MAX_OUTPUT_TOKENS = 4096
RUN_SECONDS = 180
ALIASES = ("OPUS", "SONNET", "HAIKU", "FABLE")


class Endpoint(Protocol):
    """Where a model is served: a `Server`, or what stands in front of one."""

    @property
    def url(self) -> str:
        """Where it speaks the Messages API."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def window(self) -> int:
        """The model's window, in tokens."""


@dataclass(frozen=True)
class Run:
    """What one run of `claude -p` printed, and how it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The program's own summary, its last line of output."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def events(self) -> list[dict[str, Any]]:
        """Each line of `--output-format stream-json`."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def program() -> Path:
    """Return the program, installed from npm on first use."""
    directory = npm.installed(f"{PACKAGE}@{VERSION}")
    return next(directory.glob(f"node_modules/{PACKAGE}-*/claude"))


def environment(server: Endpoint, home: Path) -> dict[str, str]:
    """Return the program's environment: the server, its model's limits, and no way to reach other hosts."""
    aliases = {f"ANTHROPIC_DEFAULT_{alias}_MODEL": server.model for alias in ALIASES}
    return aliases | {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_AUTH_TOKEN": "x",
        "ANTHROPIC_MODEL": server.model,
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(server.window),
        "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(MAX_OUTPUT_TOKENS),
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
    }


def ask(server: Endpoint, place: Path, prompt: str, *arguments: str) -> Run:
    """Run `claude -p PROMPT` in the directory `place`, with a fresh home beside it."""
    home = place.with_name(place.name + "-home")
    home.mkdir(exist_ok=True)
    command = [str(program()), "-p", prompt, "--output-format", "stream-json", "--verbose", *arguments]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment(server, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    return Run(done.returncode, done.stdout, done.stderr)
