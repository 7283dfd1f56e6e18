"""Older versions of the official Python SDK, as frameworks pin them."""

from pathlib import Path
from typing import Any

import pytest

from clients import play, venv
from clients.program import python_program, run
from vllm_messages_plugin.testing.server import Server

VERSIONS = ("0.49.0", "0.84.0", "1.17.0")
EVENTS = [
    "RawMessageStartEvent",
    "RawContentBlockStartEvent",
    "RawContentBlockDeltaEvent",
    "RawContentBlockStopEvent",
    "RawMessageDeltaEvent",
    "RawMessageStopEvent",
]


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    return venv.python_with(f"anthropic-{request.param}", f"anthropic=={request.param}")


def do(python: Path, server: Server, task: str) -> Any:
    return run(python_program("anthropic_sdk.py", python, task), server)


def test_an_answer_is_read(python: Path, server: Server) -> None:
    with server.playbook(play.HELLO):
        told = do(python, server, "plain")
    assert told["message"]["content"][0]["text"] == "Hello, heron."
    assert told["message"]["stop_reason"] == "end_turn"
    assert told["request_id"].startswith("req_")


def test_a_stream_is_put_together(python: Path, server: Server) -> None:
    with server.playbook(play.HELLO):
        told = do(python, server, "stream")
    assert "".join(told["pieces"]) == told["message"]["content"][0]["text"] == "Hello, heron."
    assert len(told["pieces"]) > 1
    assert told["message"]["usage"]["output_tokens"] > 1


def test_it_has_a_class_for_every_event(python: Path, server: Server) -> None:
    with server.playbook(play.HELLO):
        names = do(python, server, "raw_events")
    assert list(dict.fromkeys(names)) == EVENTS


def test_a_loop_by_hand_sends_its_own_objects_back(python: Path, server: Server) -> None:
    with server.playbook(play.loop(play.THOUGHT, seen="find the bird")):
        replies = do(python, server, "loop")
    assert [reply["stop_reason"] for reply in replies] == ["tool_use", "tool_use", "end_turn"]
    assert [block["type"] for block in replies[0]["content"]] == ["thinking", "text", "tool_use"]
    assert replies[0]["content"][0]["signature"]
    assert replies[1]["content"][-1]["input"] == {"city": "Oslo"}
    assert replies[-1]["content"][-1]["text"].strip() == play.ANSWER


def test_its_tool_runner_finishes_the_loop(python: Path, server: Server) -> None:
    if "anthropic-0.49" in str(python):
        pytest.skip("0.49 has no tool runner")
    with server.playbook(play.loop()):
        replies = do(python, server, "runner")
    assert [reply["stop_reason"] for reply in replies] == ["tool_use", "tool_use", "end_turn"]
    assert replies[-1]["content"][-1]["text"] == play.ANSWER


def test_an_error_has_its_class_and_text(python: Path, server: Server) -> None:
    told = do(python, server, "errors")
    assert told["class"] == "NotFoundError"
    assert told["body"]["error"] == {"type": "not_found_error", "message": "model: no-such-model"}


def test_models_are_listed_and_tokens_counted(python: Path, server: Server) -> None:
    told = do(python, server, "models")
    assert told["first"]["id"] == server.model
    assert told["first"]["type"] == "model"
    assert told["first"]["created_at"]
    assert told["counted"] > 0
