"""The Vercel AI SDK, whose Zod schemas refuse what does not fit: two generations of it."""

from pathlib import Path
from typing import Any

import pytest

from clients import npm, play
from clients.program import PROGRAMS, run
from vllm_messages_plugin.testing.server import Server

VERSIONS = {
    "7": ("ai@7.0.173", "@ai-sdk/anthropic@4.0.105", "zod@4.6.7"),
    "6": ("ai@6.0.326", "@ai-sdk/anthropic@3.0.139", "zod@4.6.7"),
}
OBJECT = {"city": "Oslo", "birds": 3}
SAID_OBJECT = '{"city": "Oslo", "birds": 3}'


@pytest.fixture(scope="module", params=VERSIONS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.program(PROGRAMS / "ai_sdk.mjs", tmp_path_factory.mktemp("ai"), *VERSIONS[request.param])


def do(program: Path, server: Server, task: str) -> Any:
    return run(["node", program], server, task, AI_SDK_LOG_WARNINGS="false", AI_SDK_TELEMETRY_DISABLED="1")


def test_a_text_is_generated(program: Path, server: Server) -> None:
    with server.playbook(play.HELLO):
        told = do(program, server, "plain")
    assert (told["text"], told["finishReason"]) == ("Hello, heron.", "stop")
    assert told["usage"]["outputTokens"] > 1


def test_a_text_is_streamed(program: Path, server: Server) -> None:
    with server.playbook(play.HELLO):
        told = do(program, server, "stream")
    assert (told["text"], told["finishReason"]) == ("Hello, heron.", "stop")
    assert told["parts"].count("text-delta") > 1
    assert told["usage"]["inputTokens"] > 1


@pytest.mark.parametrize("task", ["loop", "streamedLoop"])
def test_a_loop_of_tools_carries_its_signed_thoughts(program: Path, server: Server, task: str) -> None:
    with server.playbook(play.loop(play.THOUGHT, seen="find the bird")):
        told = do(program, server, task)
    assert told["text"].strip() == play.ANSWER
    steps = told["steps"]
    assert [step["finishReason"] for step in steps] == ["tool-calls", "tool-calls", "stop"]
    assert [step["calls"] for step in steps] == [
        [{"toolName": "locate", "input": {"animal": "heron"}}],
        [{"toolName": "weather", "input": {"city": "Oslo"}}],
        [],
    ]
    assert all("find the bird" in step["reasoning"] for step in steps)
    assert all(step["signatures"][0] for step in steps)


@pytest.mark.parametrize("task", ["object", "output"])
def test_an_object_comes_through_a_demanded_tool(program: Path, server: Server, task: str) -> None:
    with server.playbook([{"when": "Where is the heron", "say": play.call("json", **OBJECT)}]):
        assert do(program, server, task) == OBJECT


def test_an_object_comes_through_the_output_format(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Where is the heron", "say": SAID_OBJECT}]):
        assert do(program, server, "outputFormat") == OBJECT


def test_an_error_has_its_status_and_text(program: Path, server: Server) -> None:
    told = do(program, server, "error")
    assert told == {"name": "AI_APICallError", "status": 404, "message": "model: no-such-model"}
