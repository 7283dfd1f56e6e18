"""Older versions of the official Python SDK, as frameworks pin them."""

import pytest

from clients import play, venv
from clients.program import Outcomes, python_tasks
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
def outcomes_by_version() -> dict[str, Outcomes]:
    """The outcomes of each version; tests of several versions run in any order, so each version runs once."""
    return {}


@pytest.fixture(params=VERSIONS)
def outcomes(
    request: pytest.FixtureRequest, server: Server, outcomes_by_version: dict[str, Outcomes]
) -> Outcomes:
    if request.param not in outcomes_by_version:
        python = venv.python_with(f"anthropic-{request.param}", f"anthropic=={request.param}")
        with server.playbook(play.everything("unused")):
            outcomes_by_version[request.param] = python_tasks("anthropic_sdk.py", python, server)
    return outcomes_by_version[request.param]


def test_a_reply_is_read(outcomes: Outcomes) -> None:
    message = outcomes["plain"]["message"]
    assert (message["content"][0]["text"], message["stop_reason"]) == (play.GREETING, "end_turn")
    assert outcomes["plain"]["request_id"].startswith("req_")


def test_a_stream_is_accumulated(outcomes: Outcomes) -> None:
    message, pieces = outcomes["stream"]["message"], outcomes["stream"]["pieces"]
    assert "".join(pieces) == message["content"][0]["text"] == play.GREETING
    assert len(pieces) > 1
    assert message["usage"]["output_tokens"] == outcomes["plain"]["message"]["usage"]["output_tokens"]


def test_it_has_a_class_for_every_event(outcomes: Outcomes) -> None:
    assert list(dict.fromkeys(outcomes["raw_events"])) == EVENTS


def test_a_loop_by_hand_sends_its_own_objects_back(outcomes: Outcomes) -> None:
    replies = outcomes["loop"]
    assert [reply["stop_reason"] for reply in replies] == ["tool_use", "tool_use", "end_turn"]
    assert [block["type"] for block in replies[0]["content"]] == ["thinking", "text", "tool_use"]
    assert replies[0]["content"][0]["signature"]
    assert replies[1]["content"][-1]["input"] == {"city": "Oslo"}
    assert replies[-1]["content"][-1]["text"].strip() == play.ANSWER


def test_its_tool_runner_finishes_the_loop(outcomes: Outcomes) -> None:
    if "runner" not in outcomes.outcomes:
        pytest.skip("this version has no tool runner")
    assert [reply["stop_reason"] for reply in outcomes["runner"]] == ["tool_use", "tool_use", "end_turn"]
    assert outcomes["runner"][-1]["content"][-1]["text"].strip() == play.ANSWER


def test_an_error_has_its_class_and_text(outcomes: Outcomes) -> None:
    assert outcomes["errors"]["class"] == "NotFoundError"
    assert outcomes["errors"]["body"]["error"] == {
        "type": "not_found_error",
        "message": "model: no-such-model",
    }


def test_models_are_listed_and_tokens_counted(outcomes: Outcomes) -> None:
    first = outcomes["models"]["first"]
    assert (first["id"], first["type"]) == ("tiny", "model")
    assert first["created_at"]
    assert outcomes["models"]["counted"] == outcomes["plain"]["message"]["usage"]["input_tokens"]
