"""The checks by the real Claude Code, driven by a stand-in for it."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.fake_anthropic import Fake
from vllm_messages_plugin.cli.smoke_test import claude_session
from vllm_messages_plugin.cli.smoke_test.claude_checks import GREETING, claude_checks
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import CannotTellError, MismatchError, Outcome

# Says, turn after turn, what it is told to say; the note it writes is the edit that a real one makes.
STAND_IN = """#!{python}
import json, os, pathlib, sys, time
time.sleep({sleep})
seen = pathlib.Path({seen!r})
before = json.loads(seen.read_text()) if seen.exists() else []
seen.write_text(json.dumps([*before, [sys.argv[1:], dict(os.environ), os.listdir()]]))
turns = json.loads({turns!r})
turn = turns[min(len(before), len(turns) - 1)]
if turn.get("note"):
    pathlib.Path("note.txt").write_text(turn["note"])
own = dict(FOLDER=os.getcwd(), SESSION=sys.argv[sys.argv.index("-p") + 3])
print("not JSON")
for event in turn["events"]:
    text = json.dumps(event)
    for name, value in own.items():
        text = text.replace(name, value)
    print(text)
print("went wrong", file=sys.stderr)
sys.exit(turn.get("status", 0))
"""
WELL = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Hello.",
    "session_id": "SESSION",
}
STOPPED = {"type": "result", "subtype": "error_max_turns", "is_error": True, "errors": ["out of turns"]}
READ = {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "FOLDER/note.txt"}}
EDIT = {
    "type": "tool_use",
    "id": "u",
    "name": "Edit",
    "input": {
        "file_path": "FOLDER/note.txt",
        "old_string": "heron",
        "new_string": "stork",
        "replace_all": False,
    },
}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "1 The heron stands in the reeds."}
BOUNDARY = {"type": "system", "subtype": "compact_boundary"}

Turn = Mapping[str, Any]


def turn(*events: dict[str, Any], status: int = 0, note: str = "") -> Turn:
    return {"events": events, "status": status, "note": note}


def said(*blocks: dict[str, Any], tokens: int = 0) -> dict[str, Any]:
    usage = {"input_tokens": 1, "cache_read_input_tokens": tokens, "output_tokens": 5}
    return {"type": "assistant", "message": {"content": list(blocks), "usage": usage}}


READING = turn(said(READ), said(RESULT), STOPPED, status=1)
EDITING = turn(said(EDIT), STOPPED, status=1, note="The stork stands in the reeds.\n")


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen.json"


def outcome(check: str, seen: Path, *turns: Turn, sleep: float = 0, window: int = 131_072) -> Outcome:
    program = seen.with_name("claude")
    text = STAND_IN.format(python=sys.executable, seen=str(seen), turns=json.dumps(turns), sleep=sleep)
    program.write_text(text)
    program.chmod(0o755)
    with httpx.Client(base_url="http://localhost:1", transport=httpx.MockTransport(Fake())) as http:
        client = Client(http, "tiny", window, "sesame")
        checks = {found.name: found for found in claude_checks(str(program))}
        return checks[f"claude-{check}"].function(client)


def words(seen: Path) -> list[list[str]]:
    return [arguments for arguments, _, _ in json.loads(seen.read_text())]


def bodies(seen: Path) -> list[dict[str, Any]]:
    """What each turn added to its requests."""
    return [json.loads(env["CLAUDE_CODE_EXTRA_BODY"]) for _, env, _ in json.loads(seen.read_text())]


def test_a_conversation_passes(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's own")
    assert outcome("talks", seen, turn(said(), WELL)) == Outcome("pass", "'Hello.'")
    [(arguments, env, _)] = json.loads(seen.read_text())
    assert arguments[2:4] == ["-p", GREETING]
    assert "sesame" not in json.dumps(arguments)
    assert "ANTHROPIC_API_KEY" not in env
    assert env["HOME"] != os.environ["HOME"]
    assert env["CLAUDE_CONFIG_DIR"].startswith(env["HOME"])


def test_a_small_window_is_asked_through_the_bare_claude(seen: Path) -> None:
    outcome("talks", seen, turn(WELL), window=8192)
    assert words(seen)[0][0] == "--bare"


BROKEN = [
    (turn(WELL, status=1), "status 1: Hello."),
    (turn(), "without a result: went wrong"),
    (turn({**WELL, "is_error": True, "result": "API Error: 400"}), "reports an error: API Error: 400"),
]


@pytest.mark.parametrize("check", ["talks", "reads", "edits", "resumes", "compacts"])
@pytest.mark.parametrize(("broken", "reason"), BROKEN)
def test_what_goes_wrong_is_named(check: str, seen: Path, broken: Turn, reason: str) -> None:
    with pytest.raises(MismatchError, match=reason):
        outcome(check, seen, broken)


def test_a_file_is_read_and_the_result_goes_back(seen: Path) -> None:
    found = outcome("reads", seen, READING, turn(said(), WELL))
    assert found == Outcome("pass", "one call, and 'Hello.' after its result")
    assert json.loads(seen.read_text())[0][2] == ["note.txt"]
    first, second = words(seen)
    assert first[-4:] == ["--allowedTools", "Read,Edit", "--max-turns", "1"]
    assert first[first.index("--session-id") + 1] == second[second.index("--resume") + 1]
    forced, free = bodies(seen)
    assert forced["tool_choice"] == {"type": "tool", "name": "Read"}
    assert free["tool_choice"] == {"type": "none"}


def test_an_edit_is_looked_for_on_the_disk(seen: Path) -> None:
    assert outcome("edits", seen, READING, EDITING) == Outcome("pass", "heron became stork")
    assert [body["tool_choice"]["name"] for body in bodies(seen)] == ["Read", "Edit"]
    seen.unlink()
    with pytest.raises(MismatchError, match="was not edited"):
        outcome("edits", seen, READING, {**EDITING, "note": ""})


def test_a_file_that_could_not_be_read_fails(seen: Path) -> None:
    denied = {**RESULT, "content": "permission denied"}
    with pytest.raises(MismatchError, match="could not read"):
        outcome("reads", seen, turn(said(READ), said(denied), STOPPED, status=1))


@pytest.mark.parametrize("block", [{**READ, "name": "Bash"}, {**READ, "input": {"raw": "{"}}, RESULT])
def test_a_call_that_was_not_made_or_not_ended_shows_nothing(seen: Path, block: dict[str, Any]) -> None:
    with pytest.raises(CannotTellError, match="did not make the call of Read"):
        outcome("reads", seen, turn(said(block), STOPPED, status=1))


def test_a_resumed_prompt_holds_the_first(seen: Path) -> None:
    first, second = turn(said(tokens=100), WELL), turn(said(tokens=140), WELL)
    assert outcome("resumes", seen, first, second) == Outcome("pass", "101 tokens, then 141")
    seen.unlink()
    with pytest.raises(MismatchError, match="does not contain the first: 101 tokens, then 101"):
        outcome("resumes", seen, first, first)


def test_another_session_is_not_the_resumed_one(seen: Path) -> None:
    other = turn(said(tokens=140), {**WELL, "session_id": "another"})
    with pytest.raises(MismatchError, match="another session"):
        outcome("resumes", seen, turn(said(), WELL), other)


def test_a_compacted_session_goes_on(seen: Path) -> None:
    talk, compacted = turn(said(), WELL), turn(BOUNDARY, WELL)
    found = outcome("compacts", seen, talk, talk, compacted, talk)
    assert found == Outcome("pass", "compacted, then 'Hello.'")
    assert words(seen)[2][words(seen)[2].index("-p") + 1] == "/compact"
    seen.unlink()
    with pytest.raises(MismatchError, match="did not compact"):
        outcome("compacts", seen, talk)


def test_a_run_without_end_shows_nothing(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_session, "RUN_SECONDS", 0.1)
    with pytest.raises(CannotTellError, match="still running"):
        outcome("talks", seen, turn(WELL), sleep=5)
