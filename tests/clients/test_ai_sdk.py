"""The Vercel AI SDK, whose Zod schemas refuse what does not fit: two generations of it."""

from pathlib import Path

import pytest

from clients import npm, play
from clients.program import PROGRAMS, Told, run
from support.server import Server

VERSIONS = {
    "7": ("ai@7.0.173", "@ai-sdk/anthropic@4.0.105", "zod@4.6.7"),
    "6": ("ai@6.0.326", "@ai-sdk/anthropic@3.0.139", "zod@4.6.7"),
}


@pytest.fixture(scope="module")
def tellings() -> dict[str, Told]:
    """What each version told: tests of several versions come mixed, and each version is asked once."""
    return {}


@pytest.fixture(params=VERSIONS)
def told(request: pytest.FixtureRequest, server: Server, tellings: dict[str, Told], tmp_path: Path) -> Told:
    if request.param not in tellings:
        program = npm.program(PROGRAMS / "ai_sdk.mjs", tmp_path, *VERSIONS[request.param])
        with server.playbook(play.everything("json")):
            tellings[request.param] = Told(run(["node", program], server, None))
    return tellings[request.param]


def test_a_text_is_generated(told: Told) -> None:
    assert (told["plain"]["text"], told["plain"]["finishReason"]) == (play.GREETING, "stop")


def test_a_text_is_streamed(told: Told) -> None:
    streamed = told["stream"]
    assert (streamed["text"], streamed["finishReason"]) == (play.GREETING, "stop")
    assert streamed["parts"].count("text-delta") > 1
    for count in ("inputTokens", "outputTokens", "totalTokens"):
        assert streamed["usage"][count] == told["plain"]["usage"][count]


@pytest.mark.parametrize("task", ["loop", "streamedLoop"])
def test_a_loop_of_tools_carries_its_signed_thoughts(told: Told, task: str) -> None:
    assert told[task]["text"].strip() == play.ANSWER
    steps = told[task]["steps"]
    assert [step["finishReason"] for step in steps] == ["tool-calls", "tool-calls", "stop"]
    assert [step["calls"] for step in steps] == [
        [{"toolName": "locate", "input": {"animal": "heron"}}],
        [{"toolName": "weather", "input": {"city": "Oslo"}}],
        [],
    ]
    assert all("find the bird" in step["reasoning"] for step in steps)
    assert all(step["signatures"][0] for step in steps)


@pytest.mark.parametrize("task", ["object", "output"])
def test_an_object_comes_through_a_demanded_tool(told: Told, task: str) -> None:
    assert told[task] == play.OBJECT


def test_an_object_comes_through_the_output_format(told: Told) -> None:
    assert told["outputFormat"] == play.OBJECT


def test_an_error_has_its_status_and_text(told: Told) -> None:
    error = {"name": "AI_APICallError", "status": 404, "message": "model: no-such-model"}
    assert told["error"] == error
