"""Checks by the real Claude Code, if it is there: it talks, reads and edits a file, resumes, compacts."""

import json
from collections.abc import Callable
from pathlib import Path

from vllm_messages_plugin.conformance.checks.claude_session import Run, Session, answer, call, session
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import CannotTellError, Outcome, expect, passed, skipped

TALK, TALK_MORE = "Say hello in one word.", "Say it once more."
READ, EDIT = "Read the file note.txt.", "Write of a stork in note.txt."
BIRD, OTHER_BIRD = "heron", "stork"
NOTE = f"The {BIRD} stands in the reeds.\n"
ONE_CALL = ("--allowedTools", "Read,Edit", "--max-turns", "1")
NO_CLAUDE = "not asked for (--claude-code), or claude is not installed"


def in_session(client: Client, check: Callable[[Session], Outcome]) -> Outcome:
    """Make a check in a new session, where there is a claude."""
    if client.claude is None:
        return skipped(NO_CLAUDE)
    with session(client, client.claude) as begun:
        return check(begun)


def talks(client: Client) -> Outcome:
    """A conversation: one prompt, one answer, no error."""
    return in_session(client, lambda own: passed(_shown(own.say(TALK, answer()))))


def reads(client: Client) -> Outcome:
    """A file read through tools: the model calls, Claude Code reads, the result goes back."""
    return in_session(client, _reads)


def edits(client: Client) -> Outcome:
    """The same file read and edited; what counts is what is on the disk then."""
    return in_session(client, _edits)


def resumes(client: Client) -> Outcome:
    """A session gone on with: the second turn's prompt holds the first."""
    return in_session(client, _resumes)


def compacts(client: Client) -> Outcome:
    """A session compacted, and gone on with from its summary."""
    return in_session(client, _compacts)


def _reads(own: Session) -> Outcome:
    note = _note(own)
    _read(own, note)
    return passed(f"one call, and {_shown(own.say(TALK, answer()))} after its result")


def _edits(own: Session) -> Outcome:
    note = _note(own)
    _read(own, note)
    arguments = {"file_path": str(note), "old_string": BIRD, "new_string": OTHER_BIRD}
    run = own.say(EDIT, call("Edit", **arguments), *ONE_CALL)
    _expect_call(run, "Edit", arguments)
    expect(note.read_text(encoding="utf-8") == NOTE.replace(BIRD, OTHER_BIRD), f"not edited: {_results(run)}")
    return passed(f"{BIRD} became {OTHER_BIRD}")


def _resumes(own: Session) -> Outcome:
    first, second = own.say(TALK, answer()), own.say(TALK_MORE, answer())
    sizes = f"{first.prompt_tokens} tokens, then {second.prompt_tokens}"
    expect(second.prompt_tokens > first.prompt_tokens, f"the second prompt does not hold the first: {sizes}")
    expect(second.result.get("session_id") == own.id, "another session came back")
    return passed(sizes)


def _compacts(own: Session) -> Outcome:
    own.say(TALK, answer())
    own.say(TALK_MORE, answer())
    expect(own.say("/compact", answer()).compacted, "claude did not compact")
    return passed(f"compacted, then {_shown(own.say(TALK, answer()))}")


def _note(own: Session) -> Path:
    note = own.folder / "note.txt"
    note.write_text(NOTE, encoding="utf-8")
    return note


def _read(own: Session, note: Path) -> None:
    run = own.say(READ, call("Read", file_path=str(note)), *ONE_CALL)
    _expect_call(run, "Read", {"file_path": str(note)})
    expect(BIRD in _results(run), f"Claude Code could not read: {_results(run)}")


def _expect_call(run: Run, tool: str, arguments: dict[str, str]) -> None:
    """The forced call came. A model that wrote no end of it, or a server that forces none, shows nothing."""
    made = [(block.get("name"), block.get("input")) for block in run.blocks("tool_use")]
    if not any(name == tool and _within(arguments, given) for name, given in made):
        raise CannotTellError(f"no such call of {tool} was made, but {json.dumps(made)[:100]}")


def _within(arguments: dict[str, str], given: object) -> bool:
    """Claude Code adds defaults of its own."""
    return isinstance(given, dict) and arguments.items() <= given.items()


def _results(run: Run) -> str:
    return json.dumps(run.blocks("tool_result"))[:160]


def _shown(run: Run) -> str:
    return repr(str(run.result.get("result"))[:60])
