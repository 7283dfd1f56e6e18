"""The official TypeScript SDK against the live server: what it accumulates, and its tool runner."""

import json
from pathlib import Path
from typing import Any

import pytest

from clients import npm, play
from clients.program import PROGRAMS, run
from vllm_messages_plugin.testing.server import Server

PACKAGE = "@anthropic-ai/sdk@1.12.0"
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SAID = """<think>
Let me look.
</think>

I look.
<tool_call>
{"name": "weather", "arguments": {"city": "Ulm"}}
</tool_call>"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.program(PROGRAMS / "typescript_sdk.mjs", tmp_path_factory.mktemp("typescript"), PACKAGE)


def do(program: Path, server: Server, task: str, text: str, **body: Any) -> Any:
    """Return what the program made of one request."""
    request = {"model": server.model, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
    return run(["node", program], server, [task, request | body])


def test_a_streamed_answer_is_put_together(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Weather in Ulm", "say": SAID}]):
        thinking = {"type": "adaptive"}
        heard = do(program, server, "stream", "Weather in Ulm?", tools=[WEATHER], thinking=thinking)
    message = heard["message"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    thought, text, use = message["content"]
    assert thought["thinking"].strip() == heard["thinking"].strip() == "Let me look."
    assert text["text"].strip() == heard["text"].strip() == "I look."
    assert (use["name"], use["input"]) == ("weather", {"city": "Ulm"})
    assert json.loads(heard["inputJson"]) == {"city": "Ulm"}
    assert message["stop_reason"] == "tool_use"
    assert heard["events"][0] == "message_start"
    assert heard["events"][-1] == "message_stop"


@pytest.mark.parametrize("streamed", [False, True])
def test_its_tool_runner_finishes_the_loop(program: Path, server: Server, streamed: bool) -> None:
    with server.playbook(play.loop()):
        messages = do(program, server, "runner", play.QUESTION, stream=streamed)
    assert [message["stop_reason"] for message in messages] == ["tool_use", "tool_use", "end_turn"]
    assert messages[-1]["content"][0]["text"] == play.ANSWER


def test_an_answer_cut_by_max_tokens_says_so(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Count", "say": SAID.split("<tool")[0] + "one two three four five six"}]):
        heard = do(program, server, "stream", "Count.", thinking={"type": "adaptive"}, max_tokens=14)
    assert heard["message"]["stop_reason"] == "max_tokens"
    assert heard["message"]["usage"]["output_tokens"] == 14
    assert "six" not in heard["text"]


def test_a_refused_request_raises_the_sdks_own_error(program: Path, server: Server) -> None:
    with pytest.raises(AssertionError, match=r"NotFoundError: 404.*not_found_error"):
        do(program, server, "stream", "x", model="no-such-model")
