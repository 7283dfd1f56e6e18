"""The checks by the real Claude Code, driven by a stand-in for it."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.fake_anthropic import Fake
from vllm_messages_plugin.cli.checks import claude_code
from vllm_messages_plugin.cli.client import Client
from vllm_messages_plugin.cli.outcome import MismatchError, Outcome

STAND_IN = """#!{python}
import json, os, pathlib, sys, time
time.sleep({sleep})
pathlib.Path({seen!r}).write_text(json.dumps([sys.argv[1:], dict(os.environ), os.listdir()]))
print("not JSON")
for event in json.loads({events!r}):
    print(json.dumps(event))
print("went wrong", file=sys.stderr)
sys.exit({status})
"""
WELL = {"type": "result", "subtype": "success", "is_error": False, "result": "Hello."}
CALL = {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "note.txt"}}
OTHER = {**CALL, "name": "Bash", "input": {"command": "ls"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "1 The heron stands in the reeds."}


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}}


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen.json"


def outcome(
    check: str,
    seen: Path,
    events: list[dict[str, Any]],
    status: int = 0,
    sleep: float = 0,
    window: int = 131_072,
) -> Outcome:
    program = seen.with_name("claude")
    text = STAND_IN.format(
        python=sys.executable, seen=str(seen), events=json.dumps(events), status=status, sleep=sleep
    )
    program.write_text(text)
    program.chmod(0o755)
    with httpx.Client(base_url="http://localhost:1", transport=httpx.MockTransport(Fake())) as http:
        client = Client(http, "tiny", window, "sesame", claude=str(program))
        return getattr(claude_code, check)(client)


def test_a_conversation_passes(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's own")
    assert outcome("talks", seen, [said(), WELL]) == Outcome("pass", "'Hello.'")
    words, env, _ = json.loads(seen.read_text())
    assert words[2:6] == ["-p", claude_code.TALK, "--output-format", "stream-json"]
    assert "sesame" not in json.dumps(words)
    assert "ANTHROPIC_API_KEY" not in env
    assert env["HOME"] != str(Path.home())
    assert env["CLAUDE_CONFIG_DIR"].startswith(env["HOME"])


def test_a_small_window_is_asked_through_the_bare_claude(seen: Path) -> None:
    outcome("talks", seen, [WELL], window=8192)
    assert json.loads(seen.read_text())[0][0] == "--bare"


BROKEN: list[tuple[list[dict[str, Any]], int, str]] = [
    ([WELL], 1, "status 1: Hello."),
    ([], 0, "without a result: went wrong"),
    ([{**WELL, "is_error": True, "result": "API Error: 400"}], 0, "reports an error: API Error: 400"),
]


@pytest.mark.parametrize("check", ["talks", "reads"])
@pytest.mark.parametrize(("events", "status", "words"), BROKEN)
def test_what_goes_wrong_is_named(
    check: str, seen: Path, events: list[dict[str, Any]], status: int, words: str
) -> None:
    with pytest.raises(MismatchError, match=words):
        outcome(check, seen, events, status)


def test_a_file_that_was_read_passes(seen: Path) -> None:
    found = outcome("reads", seen, [said(CALL), said(RESULT), WELL])
    assert found == Outcome("pass", "read through 1 call(s); the answer is 'Hello.'")
    words, _, files = json.loads(seen.read_text())
    assert files == ["note.txt"]
    assert words[-4:] == ["--allowedTools", "Read", "--max-turns", "4"]


SKIPPED: list[tuple[list[dict[str, Any]], str]] = [
    ([WELL], "only talked"),
    ([said(OTHER), WELL], 'called Bash({"command": "ls"})'),
    ([said(CALL), {**WELL, "is_error": True, "subtype": "error_max_turns"}], "called Read("),
]


@pytest.mark.parametrize(("events", "words"), SKIPPED)
def test_a_model_that_does_not_read_shows_nothing(
    seen: Path, events: list[dict[str, Any]], words: str
) -> None:
    found = outcome("reads", seen, events)
    assert found.result == "skip"
    assert words in found.reason


def test_a_run_without_end_fails_the_talk_and_excuses_the_reading(
    seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_code, "RUN_SECONDS", 0.1)
    assert outcome("reads", seen, [], sleep=5).result == "skip"
    with pytest.raises(MismatchError, match="did not end"):
        outcome("talks", seen, [], sleep=5)
