"""Drives the real Claude Code through a session, one `claude -p` process per turn.

The checks must pass with any model, however weak, so each turn constrains the output:
CLAUDE_CODE_EXTRA_BODY adds to every request of the turn either a JSON schema for the reply text, or one tool
that must be called with given arguments.
"""

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude.launch import command_line, environment
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for, without_key
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import CannotTellError, expect

Body = Mapping[str, Any]

WORD = "hello"
UNKNOWN_WINDOW = 32_768
RUN_SECONDS = 300.0
# The result that Claude Code reports for a run with --max-turns 1 that made its one call.
OUT_OF_TURNS = "error_max_turns"
# A weak model reaches an end soonest with its most likely tokens.
GREEDY = {"temperature": 0}
# Thinking and a forced call exclude each other; without retries an error shows at once.
FIXED_ENVIRONMENT = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "MAX_THINKING_TOKENS": "0",
}


def schema_of(values: Mapping[str, str]) -> dict[str, Any]:
    """Return a JSON schema that only an object with exactly these values satisfies."""
    properties = {name: {"type": "string", "enum": [value]} for name, value in values.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(values),
        "additionalProperties": False,
    }


def forced_word(word: str = WORD) -> dict[str, Any]:
    """Return the request fields that limit a reply to one word in JSON; the tools stay in the prompt."""
    schema = {"type": "json_schema", "schema": schema_of({"word": word})}
    return {**GREEDY, "output_config": {"format": schema}, "tool_choice": {"type": "none"}}


def forced_call(tool: str, **arguments: str) -> dict[str, Any]:
    """Return the request fields that force one call of one of Claude Code's tools, with these arguments."""
    offered = {"name": tool, "description": f"Use {tool}.", "input_schema": schema_of(arguments)}
    return {**GREEDY, "tools": [offered], "tool_choice": {"type": "tool", "name": tool}}


@dataclass(frozen=True)
class ClaudeRun:
    """One finished run of `claude -p`: its exit status, its JSON events and its error stream."""

    status: int
    events: list[dict[str, Any]]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """Claude Code's own summary of the run, which is its last event."""
        return self.events[-1] if self.events else {}

    @property
    def compacted(self) -> bool:
        """Whether the conversation was replaced by a summary."""
        return any(event.get("subtype") == "compact_boundary" for event in self.events)

    @property
    def prompt_tokens(self) -> int:
        """The prompt tokens of the last reply, cached or not."""
        messages = [event["message"] for event in self.events if event.get("type") == "assistant"]
        usage = messages[-1].get("usage", {}) if messages else {}
        return sum(count for name, count in usage.items() if name.endswith("input_tokens") and count)

    def blocks(self, block_type: str) -> list[dict[str, Any]]:
        """Return the content blocks of a type, in the order of the events."""
        contents = [(event.get("message") or {}).get("content") for event in self.events]
        found = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in found if isinstance(block, dict) and block.get("type") == block_type]

    def expect_success(self) -> None:
        """Fail the check if the run ended with an error other than having no turns left."""
        details = str(self.result.get("result") or self.result.get("errors") or self.stderr.strip())[:160]
        expect(self.result.get("type") == "result", f"claude ended without a result: {details}")
        if self.result.get("subtype") == OUT_OF_TURNS:
            return
        expect(self.status == 0, f"claude ended with status {self.status}: {details}")
        expect(not self.result.get("is_error"), f"claude reports an error: {details}")


@dataclass
class ClaudeSession:
    """One conversation with its own working and home directory: the user's own settings are not read."""

    client: Client
    program: str
    folder: Path
    home: Path
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: bool = False

    def prompt(self, text: str, body: Body, *arguments: str) -> ClaudeRun:
        """Run one turn, which must succeed; the first turn starts the session, later turns resume it.

        Args:
            text: The user's prompt.
            body: Fields that are added to each request of the turn.
            *arguments: Further arguments for `claude`.
        """
        session = ["--resume" if self.started else "--session-id", self.id]
        run = self._run(
            ["-p", text, *session, "--output-format", "stream-json", "--verbose", *arguments], body
        )
        run.expect_success()
        self.started = True
        return run

    def _run(self, rest: list[str], body: Body) -> ClaudeRun:
        window = self.client.window or UNKNOWN_WINDOW
        url, key = str(self.client.http.base_url).rstrip("/"), self.client.key
        settings = without_key(settings_for(self.client.model, window, url, key), has_key=bool(key))
        command = command_line(self.program, window, settings, rest)
        own = {"HOME": str(self.home), "CLAUDE_CONFIG_DIR": str(self.home / ".claude"), **FIXED_ENVIRONMENT}
        env = environment(
            settings, key or "", {**os.environ, **own, "CLAUDE_CODE_EXTRA_BODY": json.dumps(body)}
        )
        return _run(command, self.folder, env)


@contextmanager
def open_session(client: Client, program: str) -> Iterator[ClaudeSession]:
    """Open a session whose directories are removed after the block."""
    with tempfile.TemporaryDirectory(prefix="smoke-test-") as place:
        folder, home = Path(place).resolve() / "project", Path(place).resolve() / "home"
        folder.mkdir()
        home.mkdir()
        yield ClaudeSession(client, program, folder, home)


def _run(command: list[str], folder: Path, env: dict[str, str]) -> ClaudeRun:
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the user's own Claude Code
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
        raise CannotTellError(
            f"claude was still running after {RUN_SECONDS:.0f} s: the model's output does not end"
        ) from None
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return ClaudeRun(done.returncode, events, done.stderr)
