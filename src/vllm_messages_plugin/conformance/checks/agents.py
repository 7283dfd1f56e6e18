"""Checks with the requests that real clients send: Claude Code, and SDKs with strict parsers."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    calls_of,
    expect_ok,
    require_finished,
    single_turn,
    stream_message,
)
from vllm_messages_plugin.conformance.checks.tools import FORCED, WEATHER
from vllm_messages_plugin.conformance.checks.toolsets import PLACEHOLDER
from vllm_messages_plugin.conformance.client import MESSAGES, Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24"
)
CACHED = {"cache_control": {"type": "ephemeral"}}
BILLING = "x-anthropic-billing-header: cc_version=2.1.332.572; cc_entrypoint=sdk-cli;"
USER_ID = '{"device_id":"d","account_uuid":"","session_id":"s"}'


def _text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


MAIN: dict[str, Any] = {
    "max_tokens": 32_000,
    "system": [_text(BILLING), _text("You are a coding agent."), _text("Be brief.", **CACHED)],
    "messages": [
        {
            "role": "user",
            "content": [_text("<system-reminder>\nNo files.\n</system-reminder>"), _text("Say hello.")],
        },
        {"role": "system", "content": [_text("The working directory is empty.", **CACHED)]},
    ],
    "tools": [PLACEHOLDER, WEATHER],
    "metadata": {"user_id": USER_ID},
    "thinking": {"type": "adaptive", "display": "updates"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "stream": True,
}
TITLE = single_turn(
    "Hello.",
    256,
    output_config={
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"title": {"type": "string", "enum": ["A greeting"]}},
                "required": ["title"],
                "additionalProperties": False,
            },
        }
    },
)
SAFETY = single_turn("Is this safe?", 64, stop_sequences=["</block>"], temperature=0)
MODEL_CHECK = single_turn("Hi", 1)


def claude_code(client: Client) -> Outcome:
    """Claude Code's first requests are accepted: betas, deferred tools, a system turn, 32000 tokens."""
    path = f"{MESSAGES}?beta=true"
    response = client.open(MAIN, path=path, anthropic_beta=BETAS)
    expect(response.status == 200, f"its main request: HTTP {response.status}: {response.excerpt()}")
    kinds = [event.kind for event in response.events() if event.kind != "ping"]
    expect(
        kinds[:1] == ["message_start"], f"its main request: the stream starts with {kinds[:1] or 'nothing'}"
    )
    expect("error" not in kinds, "its main request: the stream carries an error")
    for what, body in (("its safety check", SAFETY), ("its check of a model", MODEL_CHECK)):
        expect_ok(client.message(body, path=path, anthropic_beta=BETAS), what)
    titled = require_finished(TITLE, stream_message(client, TITLE), "a title")
    expect(titled.get("stop_reason") == "end_turn", f"a title stops with {titled.get('stop_reason')}")
    return passed("its main request, a title, a safety check, a check of a model")


# Strict parsers (Vercel's AI SDK) refuse null where the protocol leaves a field out.
NEVER_NULL = ("citations", "caller", "toolset_name", "input", "signature", "thinking", "text", "name", "id")


def no_nulls(client: Client) -> Outcome:
    """No field of a block is null: strict clients reject a whole message for one."""
    messages = [
        expect_ok(client.message(single_turn("Say hello.", 8)), "a plain message"),
        expect_ok(client.message(FORCED), "a call"),
        stream_message(client, FORCED),
    ]
    for block in [block for message in messages for block in message["content"]]:
        nulls = [name for name in NEVER_NULL if name in block and block[name] is None]
        expect(not nulls, f"a {block['type']} block has null for {', '.join(nulls)}")
    return passed("text and tool_use, also streamed")


JSON_TOOL = {**WEATHER, "name": "json", "description": "Respond with a JSON object."}


def json_tool(client: Client) -> Outcome:
    """Structured output through a forced tool called json works, as Vercel's AI SDK requests it."""
    body = single_turn(
        "Which city?", 256, temperature=0, tools=[JSON_TOOL], tool_choice={"type": "tool", "name": "json"}
    )
    message = require_finished(
        body, expect_ok(client.message({**body, "top_k": 1}), "the tool json"), "the tool json"
    )
    calls = calls_of(message)
    expect([call["name"] for call in calls] == ["json"], f"the calls are {calls}")
    expect(message.get("stop_reason") == "tool_use", f"the stop_reason is {message.get('stop_reason')}")
    return passed(str(calls[0]["input"]))
