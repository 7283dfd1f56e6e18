"""Claude Code against the live server: scripted replies are shown, tool calls run, results sent back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import claude_code
from clients.play import call
from support.server import Server

THINKING = "<think>\nLet me see.\n</think>\n\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "note.txt").write_text("The heron stands in the reeds.\n", encoding="utf-8")
    (directory / "list.txt").write_text("bread\nplums\n", encoding="utf-8")
    return directory


@contextmanager
def requests(server: Server, count: int) -> Iterator[None]:
    """Assert that the server gets this many Messages requests inside the block, each with status 200."""
    before = len(server.log_text())
    yield
    lines = server.log_text()[before:].splitlines()
    seen = [line for line in lines if '"POST /v1/messages' in line and "count_tokens" not in line]
    assert len(seen) == count, "\n".join(lines)
    assert all('" 200' in line for line in seen), "\n".join(seen)


def blocks(run: claude_code.Run, kind: str) -> list[dict[str, Any]]:
    """The content blocks of a kind in what the run printed."""
    messages = [event["message"] for event in run.events if event["type"] in ("assistant", "user")]
    found = [block for message in messages for block in message["content"] if isinstance(block, dict)]
    return [block for block in found if block["type"] == kind]


def test_a_reply_is_shown(server: Server, place: Path) -> None:
    rules = [{"when": "Say something about plums", "say": THINKING + "Plums are ripe."}]
    with server.playbook(rules), requests(server, 1):
        run = claude_code.ask(server, place, "Say something about plums.")
    assert run.status == 0, run
    assert run.result["result"] == "Plums are ripe."
    assert [block["thinking"].strip() for block in blocks(run, "thinking")] == ["Let me see."]


def test_a_file_is_read_and_quoted(server: Server, place: Path) -> None:
    read = call("Read", file_path=str(place / "note.txt"))
    rules = [
        {
            "when": "<tool_response>.*heron stands",
            "say": THINKING + "It says: the heron stands in the reeds.",
        },
        {"when": "Read the note", "say": f"{THINKING}I read it.\n{read}"},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Read the note in note.txt.", "--allowedTools", "Read")
    assert run.status == 0, run
    assert run.result["result"] == "It says: the heron stands in the reeds."
    assert run.result["num_turns"] == 2
    assert [block["name"] for block in blocks(run, "tool_use")] == ["Read"]
    assert "heron" in json.dumps(blocks(run, "tool_result"))


def test_two_calls_in_one_reply_both_run(server: Server, place: Path) -> None:
    names = ("note.txt", "list.txt")
    both = "\n".join(call("Read", file_path=str(place / name)) for name in names)
    rules = [
        {"when": "<tool_response>.*heron.*<tool_response>.*plums", "say": THINKING + "A heron, and plums."},
        {"when": "Read both files", "say": THINKING + both},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Read both files.", "--allowedTools", "Read")
    assert run.status == 0, run
    assert run.result["result"] == "A heron, and plums."
    uses, results = blocks(run, "tool_use"), blocks(run, "tool_result")
    assert {block["id"] for block in uses} == {block["tool_use_id"] for block in results}
    assert len(uses) == 2


def test_a_session_is_continued_with_its_complete_history(server: Server, place: Path) -> None:
    rules = [
        {"when": r"assistant\n.*A heron is a bird\..*And a plum\?", "say": THINKING + "A fruit."},
        {"when": "What is a heron", "say": THINKING + "A heron is a bird."},
    ]
    with server.playbook(rules), requests(server, 2):
        first = claude_code.ask(server, place, "What is a heron?")
        second = claude_code.ask(server, place, "And a plum?", "--continue")
    assert (first.status, second.status) == (0, 0)
    assert (first.result["result"], second.result["result"]) == ("A heron is a bird.", "A fruit.")
    assert first.result["session_id"] == second.result["session_id"]


def test_the_model_learns_that_a_tool_was_refused(server: Server, place: Path) -> None:
    rules = [
        {"when": "<tool_response>", "say": THINKING + "I may not."},
        {"when": "Make a file", "say": THINKING + call("Write", file_path=str(place / "new"), content="x")},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Make a file.", "--disallowedTools", "Bash")
    assert run.status == 0, run
    assert run.result["result"] == "I may not."
    assert not (place / "new").exists()
