"""Older versions of the official Python SDK, as frameworks pin them."""

import pytest

from clients import play, venv
from clients.program import Told, python_tasks
from support.server import Server

VERSIONS = ("0.49.0", "0.84.0", "1.17.0")
EVENTS = [
    "RawMessageStartEvent",
    "RawContentBlockStartEvent",
    "RawContentBlockDeltaEvent",
    "RawContentBlockStopEvent",
    "RawMessageDeltaEvent",
    "RawMessageStopEvent",
]


@pytest.fixture(scope="module")
def tellings() -> dict[str, Told]:
    """What each version told: tests of several versions come mixed, and each version is asked once."""
    return {}


@pytest.fixture(params=VERSIONS)
def told(request: pytest.FixtureRequest, server: Server, tellings: dict[str, Told]) -> Told:
    if request.param not in tellings:
        python = venv.python_with(f"anthropic-{request.param}", f"anthropic=={request.param}")
        with server.playbook(play.everything("unused")):
            tellings[request.param] = python_tasks("anthropic_sdk.py", python, server)
    return tellings[request.param]


def test_an_answer_is_read(told: Told) -> None:
    message = told["plain"]["message"]
    assert (message["content"][0]["text"], message["stop_reason"]) == (play.GREETING, "end_turn")
    assert told["plain"]["request_id"].startswith("req_")


def test_a_stream_is_put_together(told: Told) -> None:
    message, pieces = told["stream"]["message"], told["stream"]["pieces"]
    assert "".join(pieces) == message["content"][0]["text"] == play.GREETING
    assert len(pieces) > 1
    assert message["usage"]["output_tokens"] == told["plain"]["message"]["usage"]["output_tokens"]


def test_it_has_a_class_for_every_event(told: Told) -> None:
    assert list(dict.fromkeys(told["raw_events"])) == EVENTS


def test_a_loop_by_hand_sends_its_own_objects_back(told: Told) -> None:
    replies = told["loop"]
    assert [reply["stop_reason"] for reply in replies] == ["tool_use", "tool_use", "end_turn"]
    assert [block["type"] for block in replies[0]["content"]] == ["thinking", "text", "tool_use"]
    assert replies[0]["content"][0]["signature"]
    assert replies[1]["content"][-1]["input"] == {"city": "Oslo"}
    assert replies[-1]["content"][-1]["text"].strip() == play.ANSWER


def test_its_tool_runner_finishes_the_loop(told: Told) -> None:
    if "runner" not in told.outcomes:
        pytest.skip("this version has no tool runner")
    assert [reply["stop_reason"] for reply in told["runner"]] == ["tool_use", "tool_use", "end_turn"]
    assert told["runner"][-1]["content"][-1]["text"].strip() == play.ANSWER


def test_an_error_has_its_class_and_text(told: Told) -> None:
    assert told["errors"]["class"] == "NotFoundError"
    assert told["errors"]["body"]["error"] == {"type": "not_found_error", "message": "model: no-such-model"}


def test_models_are_listed_and_tokens_counted(told: Told) -> None:
    first = told["models"]["first"]
    assert (first["id"], first["type"]) == ("tiny", "model")
    assert first["created_at"]
    assert told["models"]["counted"] == told["plain"]["message"]["usage"]["input_tokens"]
