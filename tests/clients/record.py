"""Draws the README's pictures from real runs; `make recordings` writes them to docs/images.

A person sits at a terminal in ~/garden, with a server on port 8000: SmolLM2 for the smoke test and `flags`,
the scripted model, served as my-model, for Claude Code.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from rich.terminal_theme import TerminalTheme
from rich.text import Text

from clients import animation, claude_code, play, screen, terminal
from support.server import start_server
from vllm_messages_plugin.demo import smollm2
from vllm_messages_plugin.testing import tiny

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PORT = 8000
PROMPT = b"\x1b[1;32m~/garden\x1b[0m $ "
# Taller than any program's output; blank lines at the end are cut off.
TALL = 200
END_SECONDS = 600
QUIET_SECONDS = 3.0
MODEL = "SmolLM2-135M-Instruct"
# All of them would fill two screens.
GROUPS = ("models", "errors", "streaming", "structured", "cache", "counting")
NOTE, FIXED = "A hern stands in the reeds.\n", "A heron stands in the reeds.\n"
TASK = "There is a spelling mistake in note.txt. Mend it."
DONE = "I mended it: the bird is a heron."


@dataclass(frozen=True)
class Desk:
    """A user's home directory with a working folder; nothing of the real machine is visible."""

    home: Path

    @property
    def garden(self) -> Path:
        """The working folder."""
        return self.home / "garden"

    def environment(self) -> dict[str, str]:
        """Return the environment of the user's programs."""
        beside = Path(sys.executable).parent
        return {
            "PATH": f"{self.home / 'bin'}:{beside}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "LANG": "C.UTF-8",
            "COLORTERM": "truecolor",
            "NO_PROXY": "*",
            "DISABLE_AUTOUPDATER": "1",
        }


def desk(place: Path, theme: str = "dark") -> Desk:
    """Create a home with a note, Claude Code, a model, and the first-run questions answered."""
    found = Desk(place)
    for folder in (found.garden, place / "bin", place / ".claude"):
        folder.mkdir(parents=True)
    (found.garden / "note.txt").write_text(NOTE, encoding="utf-8")
    (place / "bin" / "claude").symlink_to(claude_code.program())
    (found.garden / MODEL).symlink_to(smollm2.model_directory())
    known = {
        "hasCompletedOnboarding": True,
        "theme": theme,
        "projects": {str(found.garden): {"hasTrustDialogAccepted": True}},
    }
    (place / ".claude" / ".claude.json").write_text(json.dumps(known), encoding="utf-8")
    return found


def record(name: str, at: Desk, command: str, columns: int, *, whole: bool = True) -> None:
    """Run a command to its end; draw the line that started it and what it wrote, or its first paragraph."""
    with terminal.opened(["sh", "-c", command], at.environment(), at.garden, TALL, columns) as running:
        running.wait_for_end(END_SECONDS)
        written = running.raw
    shown = screen.lines(screen.drawn(PROMPT + command.encode() + b"\r\n" + written, columns, TALL))
    _save(name, shown if whole else _first_paragraph(shown), columns)


def record_claude_code(name: str, at: Desk, theme: TerminalTheme, columns: int = 100, rows: int = 30) -> None:
    """Claude Code at work in its own screen, from the task to the report."""
    with terminal.opened(
        ["vllm-messages", "claude", "--", "--allowedTools", "Read,Edit"],
        at.environment(),
        at.garden,
        rows,
        columns,
    ) as running:
        running.wait_for("? for shortcuts", seconds=END_SECONDS)
        ready = len(running.raw)
        running.enter(TASK)
        running.wait_for(DONE, seconds=END_SECONDS)
        time.sleep(QUIET_SECONDS)
        marks = running.marks
        written = running.raw[: marks[-1][1]]
    if (at.garden / "note.txt").read_text(encoding="utf-8") != FIXED:
        raise RuntimeError("Claude Code did not edit the note")
    begun = max(number for number, (_, end) in enumerate(marks) if end <= ready)
    shown = animation.frames(written, marks[begun:], columns, rows)
    _write(name, animation.svg(shown, columns, "claude code", theme), f"{len(shown)} frames")


def _first_paragraph(shown: list[Text]) -> list[Text]:
    return list(takewhile(lambda line: line.plain.strip(), shown))


def _save(name: str, shown: list[Text], columns: int) -> None:
    _write(name, screen.svg(shown, columns, name.replace("-", " ")), f"{len(shown)} lines")


def _write(name: str, picture: str, size: str) -> None:
    if str(Path.home()) in picture or "/tmp" in picture:
        raise RuntimeError(f"{name} shows a path of this machine")
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")
    print(f"{name}.svg: {size}, {len(picture) // 1024} KB")


def rules(at: Desk) -> list[Mapping[str, str]]:
    """Return the playbook: read, edit, report. The rule for the last tool result comes first."""
    note = str(at.garden / "note.txt")
    edit = play.call("Edit", file_path=note, old_string="hern", new_string="heron")
    return [
        {"when": "<tool_response>.*has been updated", "say": DONE},
        {"when": "<tool_response>.*hern stands", "say": f"The bird is spelled wrong.\n{edit}"},
        {"when": "spelling mistake", "say": f"I read the note first.\n{play.call('Read', file_path=note)}"},
    ]


def with_my_model(at: Desk) -> None:
    """Record the scenes with the scripted model."""
    with _served(["my-model"], tiny.model_directory(), "--dtype", "float32") as server:
        record("claude-config", at, "vllm-messages claude-config", 100, whole=False)
        record("bench", at, "vllm-messages bench", 90)
        for name, theme in (("dark", screen.THEME), ("light", screen.LIGHT_THEME)):
            there = desk(at.home.parent / name, name)
            with server.playbook(rules(there)):
                record_claude_code(f"claude-code-{name}", there, theme)


def with_smollm2(at: Desk) -> None:
    """Record the scenes with SmolLM2."""
    record("flags", at, f"vllm-messages flags {MODEL}", 120)
    with _served(["smollm2"], smollm2.model_directory(), scripted=False, window=8192):
        groups = " ".join(f"--group {name}" for name in GROUPS)
        record("smoke-test", at, f"vllm-messages smoke-test {groups}", 110)


SCENES: Mapping[str, Callable[[Desk], None]] = {"my-model": with_my_model, "smollm2": with_smollm2}


def _served(names: list[str], model: Path, *arguments: str, scripted: bool = True, window: int = 131_072):
    return start_server(model, *arguments, names=names, scripted=scripted, window=window, port=PORT)


def main(chosen: list[str]) -> None:
    """Record the chosen scenes, or all."""
    for name in chosen or SCENES:
        place = Path(tempfile.mkdtemp(prefix="recording-")).resolve()
        try:
            SCENES[name](desk(place / "home"))
        finally:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
