"""A session of the real Claude Code, one `claude -p` a turn; the checks in `claude_code` drive it.

A model may have no wit at all, so each turn binds it: CLAUDE_CODE_EXTRA_BODY adds a schema for the answer, or
one tool that must be called with these arguments, to every request of the turn.
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
# Claude Code's own sum of a run that was to make one call and stop.
OUT_OF_TURNS = "error_max_turns"
# A model without wit comes to an end soonest with its likeliest words.
LIKELIEST = {"temperature": 0}
# Thinking and a forced call exclude each other; without retries an error is seen at once.
PLAIN = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_MAX_RETRIES": "0", "MAX_THINKING_TOKENS": "0"}


def exactly(values: Mapping[str, str]) -> dict[str, Any]:
    """A schema that these values alone satisfy."""
    properties = {name: {"type": "string", "enum": [value]} for name, value in values.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(values),
        "additionalProperties": False,
    }


def answer(word: str = WORD) -> dict[str, Any]:
    """What binds a turn to a short answer; the tools stay in the prompt."""
    schema = {"type": "json_schema", "schema": exactly({"word": word})}
    return {**LIKELIEST, "output_config": {"format": schema}, "tool_choice": {"type": "none"}}


def call(tool: str, **arguments: str) -> dict[str, Any]:
    """What binds a turn to one call of one of Claude Code's tools."""
    offered = {"name": tool, "description": f"Use {tool}.", "input_schema": exactly(arguments)}
    return {**LIKELIEST, "tools": [offered], "tool_choice": {"type": "tool", "name": tool}}


@dataclass(frozen=True)
class Run:
    """One run of `claude -p`: its status, its events and its error stream."""

    status: int
    events: list[dict[str, Any]]
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The program's own summary, its last event."""
        return self.events[-1] if self.events else {}

    @property
    def compacted(self) -> bool:
        """Whether the conversation was replaced by a summary."""
        return any(event.get("subtype") == "compact_boundary" for event in self.events)

    @property
    def prompt_tokens(self) -> int:
        """The prompt of the last reply, cached or not."""
        messages = [event["message"] for event in self.events if event.get("type") == "assistant"]
        usage = messages[-1].get("usage", {}) if messages else {}
        return sum(count for name, count in usage.items() if name.endswith("input_tokens") and count)

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """The content blocks of a kind, in the order they came."""
        contents = [(event.get("message") or {}).get("content") for event in self.events]
        found = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in found if isinstance(block, dict) and block.get("type") == kind]

    def expect_well(self) -> None:
        """Fail the check if Claude Code came to an error that is not the end of its turns."""
        told = str(self.result.get("result") or self.result.get("errors") or self.stderr.strip())[:160]
        expect(self.result.get("type") == "result", f"claude ended without a result: {told}")
        if self.result.get("subtype") == OUT_OF_TURNS:
            return
        expect(self.status == 0, f"claude ended with status {self.status}: {told}")
        expect(not self.result.get("is_error"), f"claude reports an error: {told}")


@dataclass
class Session:
    """One conversation in a folder of its own, with a home of its own: nothing of the user's is seen."""

    client: Client
    program: str
    folder: Path
    home: Path
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    begun: bool = False

    def say(self, prompt: str, body: Body, *arguments: str) -> Run:
        """One turn that must end well; the first begins the session, each later one resumes it."""
        which = ["--resume" if self.begun else "--session-id", self.id]
        run = self._run(
            ["-p", prompt, *which, "--output-format", "stream-json", "--verbose", *arguments], body
        )
        run.expect_well()
        self.begun = True
        return run

    def _run(self, rest: list[str], body: Body) -> Run:
        window = self.client.window or UNKNOWN_WINDOW
        url, key = str(self.client.http.base_url).rstrip("/"), self.client.key
        settings = without_key(settings_for(self.client.model, window, url, key), has_key=bool(key))
        command = command_line(self.program, window, settings, rest)
        own = {"HOME": str(self.home), "CLAUDE_CONFIG_DIR": str(self.home / ".claude"), **PLAIN}
        env = environment(
            settings, key or "", {**os.environ, **own, "CLAUDE_CODE_EXTRA_BODY": json.dumps(body)}
        )
        return _run(command, self.folder, env)


@contextmanager
def session(client: Client, program: str) -> Iterator[Session]:
    """A session whose folder and home are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="smoke-test-") as place:
        folder, home = Path(place).resolve() / "project", Path(place).resolve() / "home"
        folder.mkdir()
        home.mkdir()
        yield Session(client, program, folder, home)


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
        raise CannotTellError(
            f"claude was still at work after {RUN_SECONDS:.0f} s: the model does not come to an end"
        ) from None
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Run(done.returncode, events, done.stderr)
