"""Claude Code in a terminal: ask, have a file read, compact, continue."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import claude_code, play, terminal
from clients.terminal import Terminal
from support.server import Server

THINKING = "<think>\nLet me see.\n</think>\n\n"
NO_AUTO_MODE = json.dumps({"disableAutoMode": "disable"})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A trusted directory with a note in it, beside a home where the first-run questions are answered."""
    directory, home = tmp_path / "work", tmp_path / "home"
    directory.mkdir()
    (directory / "note.txt").write_text("The heron stands in the reeds.\n", encoding="utf-8")
    (home / ".claude").mkdir(parents=True)
    known = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "projects": {str(directory): {"hasTrustDialogAccepted": True}},
    }
    (home / ".claude" / ".claude.json").write_text(json.dumps(known), encoding="utf-8")
    return directory


@pytest.fixture
def screen(server: Server, place: Path) -> Iterator[Terminal]:
    command = [str(claude_code.program()), "--allowedTools", "Read", "--settings", NO_AUTO_MODE]
    env = claude_code.environment(server, place.with_name("home"))
    with terminal.opened(command, env, place) as running:
        running.wait_for("? for shortcuts")
        yield running


def test_a_question_gets_a_reply(server: Server, screen: Terminal) -> None:
    with server.playbook([{"when": "Say something", "say": THINKING + "Plums are ripe."}]):
        screen.enter("Say something about plums.")
        screen.wait_for("Plums are ripe.")


def test_a_session_is_compacted_and_goes_on_from_its_summary(
    server: Server, screen: Terminal, place: Path
) -> None:
    rules = [
        {"when": "The heron is the matter.*Where was it", "say": THINKING + "In the reeds, I noted."},
        {"when": "create a detailed summary", "say": "<summary>The heron is the matter.</summary>"},
        {"when": "<tool_response>.*heron stands", "say": THINKING + "It tells of a heron."},
        {"when": "Read the note", "say": THINKING + play.call("Read", file_path=str(place / "note.txt"))},
    ]
    with server.playbook(rules):
        screen.enter("Read the note in note.txt.")
        read = screen.wait_for("It tells of a heron.")
        screen.enter("/compact")
        compacted = screen.wait_for("Compacted", since=read)
        screen.enter("Where was it?")
        screen.wait_for("In the reeds, I noted.", since=compacted)
