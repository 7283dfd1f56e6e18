"""pydantic-ai against the live server."""

import pytest

from clients import play, venv
from clients.program import Outcomes, python_tasks
from support.server import Server

VERSION = "2.68.0"


@pytest.fixture(scope="module")
def outcomes(server: Server) -> Outcomes:
    python = venv.python_with(f"pydantic-ai-{VERSION}", f"pydantic-ai-slim[anthropic]=={VERSION}")
    with server.playbook(play.everything("final_result")):
        return python_tasks("pydantic_ai_client.py", python, server)


def test_a_reply_is_read(outcomes: Outcomes) -> None:
    assert outcomes["plain"]["output"] == play.GREETING
    assert outcomes["plain"]["replies"][0]["finish"] == "stop"


def test_a_stream_adds_up_to_the_reply_and_its_usage(outcomes: Outcomes) -> None:
    streamed, whole = outcomes["stream"], outcomes["plain"]
    assert "".join(streamed["pieces"]) == play.GREETING
    assert len(streamed["pieces"]) > 1
    assert streamed["replies"] == whole["replies"]
    assert streamed["input_tokens"] == whole["input_tokens"]
    assert streamed["output_tokens"] == whole["output_tokens"]


@pytest.mark.parametrize("task", ["loop", "streamed_loop"])
def test_a_loop_of_tools_carries_its_signed_thinking(outcomes: Outcomes, task: str) -> None:
    assert outcomes[task]["output"].strip() == play.ANSWER
    replies = outcomes[task]["replies"]
    assert [reply["finish"] for reply in replies] == ["tool_call", "tool_call", "stop"]
    assert replies[0]["kinds"] == ["thinking", "text", "tool-call"]
    assert replies[1]["calls"] == [["weather", {"city": "Oslo"}]]
    assert all(reply["signed"] == [True] for reply in replies)


@pytest.mark.parametrize("task", ["object_by_tool", "object_by_schema"])
def test_an_object_fits_its_class(outcomes: Outcomes, task: str) -> None:
    assert outcomes[task] == play.OBJECT


def test_an_error_has_its_status_and_text(outcomes: Outcomes) -> None:
    assert outcomes["error"]["status"] == 404
    assert outcomes["error"]["body"]["error"] == {
        "type": "not_found_error",
        "message": "model: no-such-model",
    }
