"""Checks of structured output: a reply text that must be JSON of a schema."""

import json
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    calls_of,
    expect_error,
    expect_ok,
    require_finished,
    single_turn,
    stream_message,
)
from vllm_messages_plugin.conformance.checks.tools import CHOICES, WEATHER
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

SCHEMA = WEATHER["input_schema"]
FORMAT = {"type": "json_schema", "schema": SCHEMA}
QUESTION = "Which city, and which unit? Answer in JSON."
Message = dict[str, Any]


def _request(limit: int = 256, **fields: Any) -> dict[str, Any]:
    return single_turn(QUESTION, limit, temperature=0, **fields)


def json_format(client: Client) -> Outcome:
    """output_config.format makes the reply one text block that is JSON of the schema, streamed or not."""
    body = _request(output_config={"format": FORMAT})
    message = expect_ok(client.message(body), "output_config.format")
    plain = _expect_json(body, message, "plain")
    _expect_json(body, stream_message(client, body), "streamed")
    return passed(f"{json.dumps(plain)}, streamed as well")


def old_format(client: Client) -> Outcome:
    """output_format, which SDKs before 1.0 send, does the same."""
    body = _request(output_format=FORMAT)
    response = client.message(body, anthropic_beta="structured-outputs-2025-11-13")
    return passed(json.dumps(_expect_json(body, expect_ok(response, "output_format"), "output_format")))


def format_beside(client: Client) -> Outcome:
    """A format works together with thinking and with tools: the reply is then a call or the JSON."""
    beside: dict[str, Any] = {"output_config": {"format": FORMAT}}
    thinking = _request(2048, thinking={"type": "adaptive"}, **beside)
    _expect_json(thinking, expect_ok(client.message(thinking), "with thinking"), "with thinking")
    tooled = _request(tools=[WEATHER], **beside)
    message = require_finished(tooled, expect_ok(client.message(tooled), "with tools"), "with tools")
    calls = calls_of(message)
    if not calls:
        _expect_json(tooled, message, "with tools")
    return passed(f"with thinking; with tools {'a call' if calls else 'the JSON'}")


def bad_schema(client: Client) -> Outcome:
    """An invalid schema is a 400, not a failure of the server."""
    bad = {"type": "json_schema", "schema": {"type": "not-a-type"}}
    response = client.message(_request(4, output_config={"format": bad}))
    message = expect_error(response, 400, "invalid_request_error", "a schema of an unknown type")
    return passed(message[:100])


def _expect_json(body: dict[str, Any], message: Message, mode: str) -> Message:
    blocks = [
        block
        for block in require_finished(body, message, mode).get("content") or []
        if block.get("type") != "thinking"
    ]
    kinds = [block.get("type") for block in blocks]
    expect(kinds == ["text"], f"{mode}: the content is {kinds}, not one text block")
    stop = message.get("stop_reason")
    expect(stop == "end_turn", f"{mode}: the stop_reason is {stop}, so the JSON may be cut")
    try:
        value: Message = json.loads(blocks[0]["text"])
    except ValueError:
        expect(False, f"{mode}: the text is not JSON: {blocks[0]['text'][:80]!r}")
    expect(isinstance(value, dict) and set(value) == set(CHOICES), f"{mode}: the JSON is {value}")
    for name, allowed in CHOICES.items():
        expect(value[name] in allowed, f"{mode}: {name} is {value[name]!r}, not one of {allowed}")
    return value
