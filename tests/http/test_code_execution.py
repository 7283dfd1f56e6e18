"""Code execution through the routes: the code runs in the tool of an MCP server on loopback."""

import json
from collections.abc import Sequence
from typing import Any

import anthropic.types.beta
import httpx
import pytest

from support.loopback import HOST, free_port
from support.mcp_server import McpSite
from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
from vllm_messages_plugin.server_tools.mcp.sandbox import McpSandbox
from vllm_messages_plugin.server_tools.mcp.sessions import sessions_ended
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText, EngineToolCall, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer

Round = Sequence[EngineDelta]
STOP = ReplyFinished("stop", 5, token_ids=(1, 2))
ANSWER: Round = [EngineText("It is 42."), STOP]
PYTHON, SHELL = "code_execution_20250522", "code_execution_20250825"


def call(name: str, **arguments: Any) -> Round:
    return [EngineToolCall(0, name, json.dumps(arguments)), STOP]


def ask(kind: str = PYTHON, **fields: Any) -> dict[str, Any]:
    return {
        "model": "fake",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "How much is 6 * 7?"}],
        "tools": [{"type": kind, "name": "code_execution"}],
        **fields,
    }


async def post(engine: FakeEngine, url: str, tool: str | None, body: Any) -> httpx.Response:
    sealer = signer("test", SEARCH_RESULT)
    sandbox = McpSandbox(operator_tool(f"mcp:{url}#{tool}", "VLLM_MESSAGES_CODE", "")) if tool else None
    offer = ServerToolOffer(sealer.sign, sealer.restore, sandbox=sandbox)
    transport = httpx.ASGITransport(app_with(engine, server_tools=offer))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as client:
        answer = await client.post("/v1/messages", json=body)
    await sessions_ended()
    return answer


async def test_python_runs_in_the_sandbox_and_is_read_again_in_the_next_turn(site: McpSite) -> None:
    engine = FakeEngine(replies=[call("code_execution", code="print(6 * 7)"), ANSWER, ANSWER])
    message = (await post(engine, site.url, "run_python", ask())).json()
    use, result, text = message["content"]
    assert (use["type"], use["name"], use["input"]) == (
        "server_tool_use",
        "code_execution",
        {"code": "print(6 * 7)"},
    )
    assert result == {
        "type": "code_execution_tool_result",
        "tool_use_id": use["id"],
        "content": {
            "type": "code_execution_result",
            "stdout": "42\n",
            "stderr": "",
            "return_code": 0,
            "content": [],
        },
    }
    assert text["text"] == "It is 42."
    parsed = anthropic.types.beta.BetaMessage.model_validate(message).content[1]
    assert isinstance(parsed, anthropic.types.beta.BetaCodeExecutionToolResultBlock)
    messages = [
        *ask()["messages"],
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "Thanks"},
    ]
    assert (await post(engine, site.url, "run_python", ask(messages=messages))).status_code == 200
    in_reply, in_history = engine.requests[1].conversation, engine.requests[2].conversation
    assert "stdout:\n42" in str(in_reply.messages[-1]["content"])
    assert in_history.messages[: len(in_reply.messages)] == in_reply.messages
    (tool,) = in_reply.tools
    assert tool["function"]["description"] == "Run Python code in a sandbox that keeps nothing."
    assert site.calls == [("run_python", {"code": "print(6 * 7)"})]


async def test_a_command_runs_as_the_shell_of_the_later_version(site: McpSite) -> None:
    engine = FakeEngine(replies=[call("bash_code_execution", command="ls"), ANSWER])
    body = ask(SHELL, tool_choice={"type": "tool", "name": "code_execution"})
    message = (await post(engine, site.url, "run_bash", body)).json()
    use, result, _ = message["content"]
    assert use["name"] == "bash_code_execution"
    assert result["type"] == "bash_code_execution_tool_result"
    assert result["content"]["stdout"] == "a.txt"
    assert engine.requests[0].conversation.choice.name == "bash_code_execution"
    parsed = anthropic.types.beta.BetaMessage.model_validate(message).content[1]
    assert isinstance(parsed, anthropic.types.beta.BetaBashCodeExecutionToolResultBlock)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"code": "sleep"}, "execution_time_exceeded"), ({"command": "ls"}, "invalid_tool_input")],
)
async def test_code_that_can_not_run_is_an_error_and_the_model_answers(
    arguments: dict[str, str], code: str, site: McpSite
) -> None:
    engine = FakeEngine(replies=[call("code_execution", **arguments), ANSWER])
    message = (await post(engine, site.url, "run_python", ask())).json()
    assert message["content"][1]["content"] == {
        "type": "code_execution_tool_result_error",
        "error_code": code,
    }
    assert message["content"][2]["text"] == "It is 42."


async def test_a_sandbox_that_is_down_is_an_error_and_the_model_answers() -> None:
    engine = FakeEngine(replies=[call("code_execution", code="1"), ANSWER])
    message = (await post(engine, f"http://{HOST}:{free_port()}/mcp", "run_python", ask())).json()
    assert message["content"][1]["content"]["error_code"] == "unavailable"
    assert message["content"][2]["text"] == "It is 42."


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        (None, PYTHON),
        ("run_python", SHELL),
        ("run_bash", PYTHON),
        ("count", PYTHON),
        ("run_python", "code_execution_20260120"),
        ("run_bash", "code_execution_20260521"),
    ],
)
async def test_a_version_that_the_sandbox_does_not_run_is_refused_by_name(
    tool: str | None, kind: str, site: McpSite
) -> None:
    answer = await post(FakeEngine(), site.url, tool, ask(kind))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"tools.0: tool type '{kind}' is not supported")
    assert site.calls == []
