"""The Claude Agent SDK against the live server: it drives the Claude Code that it brings along."""

from pathlib import Path

import pytest

from clients import claude_code, play, venv
from clients.program import Outcomes, python_tasks
from support.server import Server

VERSION = "0.2.187"


@pytest.fixture(scope="module")
def outcomes(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    python = venv.python_with(f"claude-agent-sdk-{VERSION}", f"claude-agent-sdk=={VERSION}")
    home: Path = tmp_path_factory.mktemp("agent")
    variables = claude_code.environment(server, home) | {"ANTHROPIC_API_KEY": ""}
    rules = [*play.HELLO, *play.loop(play.THINKING, seen="find the bird", of="mcp__birds__")]
    with server.playbook(rules):
        return python_tasks("agent_sdk.py", python, server, **variables)


def test_a_query_is_answered(outcomes: Outcomes) -> None:
    assert (outcomes["plain"]["result"], outcomes["plain"]["is_error"]) == (play.GREETING, False)
    assert outcomes["plain"]["usage"]["output_tokens"] > 1


def test_partial_messages_are_the_servers_events(outcomes: Outcomes) -> None:
    assert outcomes["stream"]["result"] == play.GREETING
    assert outcomes["stream"]["events"] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_its_own_tools_are_called_one_after_the_other(outcomes: Outcomes) -> None:
    looped = outcomes["loop"]
    assert (looped["result"], looped["turns"]) == (play.ANSWER, 3)
    assert looped["kinds"].count("ToolUseBlock") == 2
    assert looped["kinds"].count("ThinkingBlock") == 3
