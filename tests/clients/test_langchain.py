"""LangChain's ChatAnthropic against the live server."""

import pytest

from clients import play, venv
from clients.program import Outcomes, python_tasks
from support.server import Server

VERSION, CORE = "1.7.5", "1.7.2"


@pytest.fixture(scope="module")
def outcomes(server: Server) -> Outcomes:
    pinned = (f"langchain-anthropic=={VERSION}", f"langchain-core=={CORE}")
    python = venv.python_with(f"langchain-anthropic-{VERSION}", *pinned)
    with server.playbook(play.everything("Place")):
        return python_tasks("langchain_client.py", python, server, LANGSMITH_TRACING="false")


def test_a_reply_is_read(outcomes: Outcomes) -> None:
    answer = outcomes["plain"]
    assert (answer["text"], answer["stop_reason"]) == (play.GREETING, "end_turn")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_stream_adds_up_to_the_reply_and_its_usage(outcomes: Outcomes) -> None:
    streamed = outcomes["stream"]
    assert "".join(streamed["pieces"]) == streamed["text"] == play.GREETING
    assert sum(bool(piece) for piece in streamed["pieces"]) > 1
    assert streamed["stop_reason"] == "end_turn"
    for field in ("input_tokens", "output_tokens", "total_tokens"):
        assert streamed["usage"][field] == outcomes["plain"]["usage"][field]


@pytest.mark.parametrize("task", ["loop", "streamed_loop"])
def test_a_loop_of_tools_carries_its_thinking(outcomes: Outcomes, task: str) -> None:
    steps = outcomes[task]
    assert [step["stop_reason"] for step in steps] == ["tool_use", "tool_use", "end_turn"]
    assert steps[0]["blocks"] == ["reasoning", "text", "tool_call"]
    assert steps[1]["calls"] == [{"name": "weather", "args": {"city": "Oslo"}}]
    assert steps[-1]["text"].strip() == play.ANSWER


@pytest.mark.parametrize("task", ["object_by_tool", "object_by_schema"])
def test_an_object_fits_its_class(outcomes: Outcomes, task: str) -> None:
    assert outcomes[task] == play.OBJECT


def test_tokens_are_counted_by_the_server(outcomes: Outcomes) -> None:
    assert outcomes["counted"] > outcomes["plain"]["usage"]["input_tokens"]


def test_an_error_has_its_class_and_text(outcomes: Outcomes) -> None:
    assert "model: no-such-model" in outcomes["error"]["text"]
