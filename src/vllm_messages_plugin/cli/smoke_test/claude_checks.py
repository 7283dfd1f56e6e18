"""Checks that drive the real Claude Code: it talks, reads and edits files, resumes, compacts."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vllm_messages_plugin.cli.smoke_test.claude_session import (
    ClaudeRun,
    ClaudeSession,
    forced_call,
    forced_word,
    open_session,
)
from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import CannotTellError, Outcome, expect, passed, skipped

GREETING, SECOND_GREETING = "Say hello in one word.", "Say it once more."
READ_PROMPT, EDIT_PROMPT = "Read the file note.txt.", "Write of a stork in note.txt."
BIRD, OTHER_BIRD = "heron", "stork"
NOTE = f"The {BIRD} stands in the reeds.\n"
ONE_CALL = ("--allowedTools", "Read,Edit", "--max-turns", "1")
NO_CLAUDE = "needs --claude-code and an installed Claude Code"
SessionCheck = Callable[[ClaudeSession], Outcome]


def claude_checks(program: str | None) -> tuple[Check, ...]:
    """Return the checks that drive Claude Code.

    Args:
        program: The path of the Claude Code program; without one each check is skipped.
    """
    rows: tuple[tuple[str, str, SessionCheck], ...] = (
        ("claude-talks", "the real Claude Code has a conversation", _talks),
        ("claude-reads", "the real Claude Code reads a file", _reads),
        ("claude-edits", "the real Claude Code edits a file", _edits),
        ("claude-resumes", "the real Claude Code resumes a session", _resumes),
        ("claude-compacts", "the real Claude Code compacts a session", _compacts),
    )
    return tuple(
        Check(name, title, partial(_run_in_session, program=program, check=check), "clients", beyond=True)
        for name, title, check in rows
    )


def _run_in_session(client: Client, program: str | None, check: SessionCheck) -> Outcome:
    if program is None:
        return skipped(NO_CLAUDE)
    with open_session(client, program) as session:
        return check(session)


def _talks(session: ClaudeSession) -> Outcome:
    """One prompt gets one reply, without an error."""
    return passed(_quoted_result(session.prompt(GREETING, forced_word())))


def _reads(session: ClaudeSession) -> Outcome:
    """The model calls Read, Claude Code reads the file, and the result goes back to the model."""
    note = _write_note(session)
    _read_note(session, note)
    after = _quoted_result(session.prompt(GREETING, forced_word()))
    return passed(f"one call, and {after} after its result")


def _edits(session: ClaudeSession) -> Outcome:
    """The model reads and edits the file; the check looks at the file afterwards."""
    note = _write_note(session)
    _read_note(session, note)
    arguments = {"file_path": str(note), "old_string": BIRD, "new_string": OTHER_BIRD}
    run = session.prompt(EDIT_PROMPT, forced_call("Edit", **arguments), *ONE_CALL)
    _require_call(run, "Edit", arguments)
    edited = note.read_text(encoding="utf-8") == NOTE.replace(BIRD, OTHER_BIRD)
    expect(edited, f"the file was not edited: {_tool_results(run)}")
    return passed(f"{BIRD} became {OTHER_BIRD}")


def _resumes(session: ClaudeSession) -> Outcome:
    """The second turn's prompt contains the first turn."""
    first, second = (session.prompt(text, forced_word()) for text in (GREETING, SECOND_GREETING))
    sizes = f"{first.prompt_tokens} tokens, then {second.prompt_tokens}"
    grows = second.prompt_tokens > first.prompt_tokens
    expect(grows, f"the second prompt does not contain the first: {sizes}")
    expect(second.result.get("session_id") == session.id, "Claude Code resumed another session")
    return passed(sizes)


def _compacts(session: ClaudeSession) -> Outcome:
    """A session is compacted and continued from its summary."""
    session.prompt(GREETING, forced_word())
    session.prompt(SECOND_GREETING, forced_word())
    expect(session.prompt("/compact", forced_word()).compacted, "Claude Code did not compact the session")
    return passed(f"compacted, then {_quoted_result(session.prompt(GREETING, forced_word()))}")


def _write_note(session: ClaudeSession) -> Path:
    note = session.folder / "note.txt"
    note.write_text(NOTE, encoding="utf-8")
    return note


def _read_note(session: ClaudeSession, note: Path) -> None:
    run = session.prompt(READ_PROMPT, forced_call("Read", file_path=str(note)), *ONE_CALL)
    _require_call(run, "Read", {"file_path": str(note)})
    expect(BIRD in _tool_results(run), f"Claude Code could not read the file: {_tool_results(run)}")


def _require_call(run: ClaudeRun, tool: str, arguments: dict[str, str]) -> None:
    """Require the forced call; without it the check has no verdict: the model may have stopped early."""
    calls = [(block.get("name"), block.get("input")) for block in run.blocks("tool_use")]
    if not any(name == tool and _includes(given, arguments) for name, given in calls):
        raise CannotTellError(f"the model did not make the call of {tool}, but {json.dumps(calls)[:100]}")


def _includes(given: object, arguments: dict[str, str]) -> bool:
    """Whether a call has these arguments; Claude Code may add defaults of its own."""
    return isinstance(given, dict) and arguments.items() <= given.items()


def _tool_results(run: ClaudeRun) -> str:
    return json.dumps(run.blocks("tool_result"))[:160]


def _quoted_result(run: ClaudeRun) -> str:
    return repr(str(run.result.get("result"))[:60])
