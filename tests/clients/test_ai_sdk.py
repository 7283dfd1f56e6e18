"""Two versions of the Vercel AI SDK, whose Zod schemas refuse replies that don't fit."""

from pathlib import Path

import pytest

from clients import npm, play
from clients.program import PROGRAMS, Outcomes, run
from support.server import Server

VERSIONS = {
    "7": ("ai@7.0.173", "@ai-sdk/anthropic@4.0.105", "zod@4.6.7"),
    "6": ("ai@6.0.326", "@ai-sdk/anthropic@3.0.139", "zod@4.6.7"),
}


@pytest.fixture(scope="module")
def outcomes_by_version() -> dict[str, Outcomes]:
    """The outcomes of each version; tests of several versions run in any order, so each version runs once."""
    return {}


@pytest.fixture(params=VERSIONS)
def outcomes(
    request: pytest.FixtureRequest, server: Server, outcomes_by_version: dict[str, Outcomes], tmp_path: Path
) -> Outcomes:
    if request.param not in outcomes_by_version:
        program = npm.program(PROGRAMS / "ai_sdk.mjs", tmp_path, *VERSIONS[request.param])
        with server.playbook(play.everything("json")):
            outcomes_by_version[request.param] = Outcomes(run(["node", program], server, None))
    return outcomes_by_version[request.param]


def test_a_text_is_generated(outcomes: Outcomes) -> None:
    assert (outcomes["plain"]["text"], outcomes["plain"]["finishReason"]) == (play.GREETING, "stop")


def test_a_text_is_streamed(outcomes: Outcomes) -> None:
    streamed = outcomes["stream"]
    assert (streamed["text"], streamed["finishReason"]) == (play.GREETING, "stop")
    assert streamed["parts"].count("text-delta") > 1
    for count in ("inputTokens", "outputTokens", "totalTokens"):
        assert streamed["usage"][count] == outcomes["plain"]["usage"][count]


@pytest.mark.parametrize("task", ["loop", "streamedLoop"])
def test_a_loop_of_tools_carries_its_signed_thinking(outcomes: Outcomes, task: str) -> None:
    assert outcomes[task]["text"].strip() == play.ANSWER
    steps = outcomes[task]["steps"]
    assert [step["finishReason"] for step in steps] == ["tool-calls", "tool-calls", "stop"]
    assert [step["calls"] for step in steps] == [
        [{"toolName": "locate", "input": {"animal": "heron"}}],
        [{"toolName": "weather", "input": {"city": "Oslo"}}],
        [],
    ]
    assert all("find the bird" in step["reasoning"] for step in steps)
    assert all(step["signatures"][0] for step in steps)


@pytest.mark.parametrize("task", ["object", "output"])
def test_an_object_comes_through_a_demanded_tool(outcomes: Outcomes, task: str) -> None:
    assert outcomes[task] == play.OBJECT


def test_an_object_comes_through_the_output_format(outcomes: Outcomes) -> None:
    assert outcomes["outputFormat"] == play.OBJECT


def test_an_error_has_its_status_and_text(outcomes: Outcomes) -> None:
    error = {"name": "AI_APICallError", "status": 404, "message": "model: no-such-model"}
    assert outcomes["error"] == error
