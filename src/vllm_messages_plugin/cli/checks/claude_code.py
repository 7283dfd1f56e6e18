"""Checks by the real Claude Code, if it is there: a conversation, and a file read through tools."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_run import command_line, environment
from vllm_messages_plugin.cli.claude_settings import settings_for, without_key
from vllm_messages_plugin.cli.client import Client
from vllm_messages_plugin.cli.outcome import Outcome, expect, passed, skipped

WORD = "heron"
TALK = "Say hello in one word."
READ = "Use the Read tool on the file note.txt in this directory. Then say which bird it names."
UNKNOWN_WINDOW = 32_768
RUN_SECONDS = 300.0
MOST_TURNS, OUT_OF_TURNS = "4", "error_max_turns"


@dataclass(frozen=True)
class Run:
    """One run of `claude -p`: its status (None if it had to be ended), its events and its error stream."""

    status: int | None
    events: list[dict[str, Any]]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The program's own summary, its last event."""
        return self.events[-1] if self.events else {}

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """The content blocks of a kind, in the order they came."""
        contents = [(event.get("message") or {}).get("content") for event in self.events]
        found = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in found if isinstance(block, dict) and block.get("type") == kind]


def talks(client: Client) -> Outcome:
    """A conversation: one prompt, one answer, no error."""
    if client.claude is None:
        return skipped("not asked for (--claude-code), or claude is not installed")
    with tempfile.TemporaryDirectory(prefix="smoke-test-") as folder:
        run = ask(client, client.claude, Path(folder), TALK)
    _expect_well(run)
    return passed(f"{str(run.result.get('result'))[:60]!r}")


def reads(client: Client) -> Outcome:
    """A file read through tools; a model that does not think of the tool shows nothing either way."""
    if client.claude is None:
        return skipped("not asked for (--claude-code), or claude is not installed")
    with tempfile.TemporaryDirectory(prefix="smoke-test-") as folder:
        (Path(folder) / "note.txt").write_text(f"The {WORD} stands in the reeds.\n", encoding="utf-8")
        run = ask(
            client, client.claude, Path(folder), READ, "--allowedTools", "Read", "--max-turns", MOST_TURNS
        )
    if run.status is None:
        return skipped(
            f"claude was still at work after {RUN_SECONDS:.0f} s: the model does not come to an end"
        )
    calls = [block for block in run.blocks("tool_use") if block.get("name") == "Read"]
    if calls and WORD in json.dumps(run.blocks("tool_result")):
        return passed(
            f"read through {len(calls)} call(s); the answer is {str(run.result.get('result'))[:60]!r}"
        )
    if run.result.get("subtype") != OUT_OF_TURNS:
        _expect_well(run)
    return skipped(f"the model did not read it, but {_called(run) or 'only talked'}")


def _called(run: Run) -> str:
    """What the model called instead."""
    calls = [
        f"{block.get('name')}({json.dumps(block.get('input'))[:60]})" for block in run.blocks("tool_use")
    ]
    return f"called {', '.join(calls[:2])}" if calls else ""


def ask(client: Client, program: str, folder: Path, prompt: str, *arguments: str) -> Run:
    """Run `claude -p PROMPT` in a folder, with a home of its own beside nothing of the user's."""
    window = client.window or UNKNOWN_WINDOW
    url = str(client.http.base_url).rstrip("/")
    settings = without_key(settings_for(client.model, window, url, client.key), has_key=bool(client.key))
    rest = ["-p", prompt, "--output-format", "stream-json", "--verbose", *arguments]
    with tempfile.TemporaryDirectory(prefix="smoke-test-home-") as home:
        own = {"HOME": home, "CLAUDE_CONFIG_DIR": f"{home}/.claude", "DISABLE_AUTOUPDATER": "1"}
        env = environment(settings, client.key or "", {**os.environ, **own, "CLAUDE_CODE_MAX_RETRIES": "0"})
        return _run(command_line(program, window, settings, rest), folder, env)


def _run(command: list[str], folder: Path, env: dict[str, str]) -> Run:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own claude
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Run(None, [], "")
    return Run(done.returncode, _events(done.stdout), done.stderr)


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _expect_well(run: Run) -> None:
    expect(run.status is not None, f"claude did not end within {RUN_SECONDS:.0f} s")
    told = str(run.result.get("result") or run.stderr.strip())[:160]
    expect(run.status == 0, f"claude ended with status {run.status}: {told}")
    expect(run.result.get("type") == "result", f"claude ended without a result: {told}")
    expect(not run.result.get("is_error"), f"claude reports an error: {told}")
