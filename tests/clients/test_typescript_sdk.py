"""The official TypeScript SDK against the live server: what it accumulates from the stream."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients import npm
from vllm_messages_plugin.testing.server import Server

PACKAGE, VERSION = "@anthropic-ai/sdk", "1.12.0"
PROGRAM = Path(__file__).with_name("stream.mjs")
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
    """The program beside the SDK's node_modules, where node looks for what it imports."""
    directory = tmp_path_factory.mktemp("typescript")
    (directory / "node_modules").symlink_to(npm.installed(PACKAGE, VERSION) / "node_modules")
    return Path(shutil.copy(PROGRAM, directory))


def stream(program: Path, server: Server, **body: Any) -> dict[str, Any]:
    """Return what the SDK heard and the final message, for one request."""
    request = {"model": server.model, "max_tokens": 100} | body
    done = subprocess.run(
        ["node", str(program)],
        input=json.dumps(request),
        env={"PATH": os.environ["PATH"], "BASE_URL": server.url, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_streamed_answer_is_put_together(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Weather in Ulm", "say": SAID}]):
        question = [{"role": "user", "content": "Weather in Ulm?"}]
        thinking = {"type": "adaptive"}
        heard = stream(program, server, messages=question, tools=[WEATHER], thinking=thinking)
    message = heard["message"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    thought, text, use = message["content"]
    assert thought["thinking"].strip() == "Let me look."
    assert text["text"].strip() == heard["text"].strip() == "I look."
    assert (use["name"], use["input"]) == ("weather", {"city": "Ulm"})
    assert json.loads(heard["inputJson"]) == {"city": "Ulm"}
    assert message["stop_reason"] == "tool_use"
    assert heard["events"][0] == "message_start"
    assert heard["events"][-1] == "message_stop"


def test_an_answer_cut_by_max_tokens_says_so(program: Path, server: Server) -> None:
    with server.playbook([{"when": "Count", "say": SAID.split("<tool")[0] + "one two three four five six"}]):
        messages = [{"role": "user", "content": "Count."}]
        heard = stream(program, server, messages=messages, thinking={"type": "adaptive"}, max_tokens=14)
    assert heard["message"]["stop_reason"] == "max_tokens"
    assert heard["message"]["usage"]["output_tokens"] == 14
    assert "six" not in heard["text"]


def test_a_refused_request_raises_the_sdks_own_error(program: Path, server: Server) -> None:
    with pytest.raises(AssertionError, match=r"NotFoundError: 404.*not_found_error"):
        stream(program, server, model="no-such-model", messages=[{"role": "user", "content": "x"}])
