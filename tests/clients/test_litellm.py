"""LiteLLM as a client of the live server: Anthropic's protocol on the wire, OpenAI's objects for its user."""

import json

import pytest

from clients import play, venv
from clients.program import Outcomes, python_tasks
from support.server import Server

VERSION = "1.100.0"


@pytest.fixture(scope="module")
def outcomes(server: Server) -> Outcomes:
    python = venv.python_with(f"litellm-{VERSION}", f"litellm=={VERSION}")
    # Its list of prices would come from the network.
    variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with server.playbook(play.everything("json_tool_call")):
        return python_tasks("litellm_client.py", python, server, **variables)


def test_a_reply_is_read(outcomes: Outcomes) -> None:
    (choice,) = outcomes["plain"]["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (play.GREETING, "stop")
    usage = outcomes["plain"]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_adds_up_to_the_reply_and_its_usage(outcomes: Outcomes) -> None:
    pieces, whole = outcomes["stream"]["pieces"], outcomes["stream"]["whole"]
    assert "".join(pieces) == play.GREETING
    assert sum(bool(piece) for piece in pieces) > 1
    assert whole["choices"][0]["finish_reason"] == "stop"
    for field in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert whole["usage"][field] == outcomes["plain"]["usage"][field]


@pytest.mark.parametrize("task", ["loop", "streamed_loop"])
def test_a_loop_of_tools_carries_its_signed_thinking(outcomes: Outcomes, task: str) -> None:
    steps = outcomes[task]
    assert [step["finish_reason"] for step in steps] == ["tool_calls", "tool_calls", "stop"]
    messages = [step["message"] for step in steps]
    calls = [message["tool_calls"][0]["function"] for message in messages[:2]]
    assert [call["name"] for call in calls] == ["locate", "weather"]
    assert [json.loads(call["arguments"]) for call in calls] == [{"animal": "heron"}, {"city": "Oslo"}]
    assert all(message["thinking_blocks"][0]["signature"] for message in messages)
    assert messages[0]["reasoning_content"].strip() == "I must find the bird."
    assert messages[-1]["content"].strip() == play.ANSWER


def test_an_object_comes_through_a_demanded_tool(outcomes: Outcomes) -> None:
    assert outcomes["object_by_schema"] == play.OBJECT


def test_an_error_has_its_class_and_text(outcomes: Outcomes) -> None:
    assert (outcomes["error"]["class"], outcomes["error"]["status"]) == ("NotFoundError", 404)
    assert "model: no-such-model" in outcomes["error"]["text"]
