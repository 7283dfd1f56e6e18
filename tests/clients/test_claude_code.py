"""Claude Code against the live server: what the scripted model says is done, shown and sent back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import claude_code
from clients.play import call
from support.server import Server

THOUGHT = "<think>\nLet me see.\n</think>\n\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "note.txt").write_text("The heron stands in the reeds.\n", encoding="utf-8")
    (directory / "list.txt").write_text("bread\nplums\n", encoding="utf-8")
    return directory


@contextmanager
def requests(server: Server, count: int) -> Iterator[None]:
    """Hold that the server sees this many Messages requests inside the block, each answered with 200."""
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


def test_an_answer_is_shown(server: Server, place: Path) -> None:
    rules = [{"when": "Say something about plums", "say": THOUGHT + "Plums are ripe."}]
    with server.playbook(rules), requests(server, 1):
        run = claude_code.ask(server, place, "Say something about plums.")
    assert run.status == 0, run
    assert run.result["result"] == "Plums are ripe."
    assert [block["thinking"].strip() for block in blocks(run, "thinking")] == ["Let me see."]


def test_a_file_is_read_and_quoted(server: Server, place: Path) -> None:
    read = call("Read", file_path=str(place / "note.txt"))
    rules = [
        {"when": "<tool_response>.*heron stands", "say": THOUGHT + "It says: the heron stands in the reeds."},
        {"when": "Read the note", "say": f"{THOUGHT}I read it.\n{read}"},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Read the note in note.txt.", "--allowedTools", "Read")
    assert run.status == 0, run
    assert run.result["result"] == "It says: the heron stands in the reeds."
    assert run.result["num_turns"] == 2
    assert [block["name"] for block in blocks(run, "tool_use")] == ["Read"]
    assert "heron" in json.dumps(blocks(run, "tool_result"))


def test_two_calls_in_one_answer_are_both_done(server: Server, place: Path) -> None:
    names = ("note.txt", "list.txt")
    both = "\n".join(call("Read", file_path=str(place / name)) for name in names)
    rules = [
        {"when": "<tool_response>.*heron.*<tool_response>.*plums", "say": THOUGHT + "A heron, and plums."},
        {"when": "Read both files", "say": THOUGHT + both},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Read both files.", "--allowedTools", "Read")
    assert run.status == 0, run
    assert run.result["result"] == "A heron, and plums."
    uses, results = blocks(run, "tool_use"), blocks(run, "tool_result")
    assert {block["id"] for block in uses} == {block["tool_use_id"] for block in results}
    assert len(uses) == 2


def test_a_session_is_continued_with_all_it_said(server: Server, place: Path) -> None:
    rules = [
        {"when": r"assistant\n.*A heron is a bird\..*And a plum\?", "say": THOUGHT + "A fruit."},
        {"when": "What is a heron", "say": THOUGHT + "A heron is a bird."},
    ]
    with server.playbook(rules), requests(server, 2):
        first = claude_code.ask(server, place, "What is a heron?")
        second = claude_code.ask(server, place, "And a plum?", "--continue")
    assert (first.status, second.status) == (0, 0)
    assert (first.result["result"], second.result["result"]) == ("A heron is a bird.", "A fruit.")
    assert first.result["session_id"] == second.result["session_id"]


def test_a_refused_tool_is_told_to_the_model(server: Server, place: Path) -> None:
    rules = [
        {"when": "<tool_response>", "say": THOUGHT + "I may not."},
        {"when": "Make a file", "say": THOUGHT + call("Write", file_path=str(place / "new"), content="x")},
    ]
    with server.playbook(rules), requests(server, 2):
        run = claude_code.ask(server, place, "Make a file.", "--disallowedTools", "Bash")
    assert run.status == 0, run
    assert run.result["result"] == "I may not."
    assert not (place / "new").exists()
