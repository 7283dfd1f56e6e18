"""Checks of tool_choice and of tool calls. Every schema consists of enums, so any model can satisfy it."""

import json
from collections.abc import Mapping
from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    calls_of,
    expect_ok,
    require_finished,
    single_turn,
    stream_message,
    text_of,
)
from vllm_messages_plugin.conformance.checks.tools import CHOICES, FORCED, QUESTION, WEATHER
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed
from vllm_messages_plugin.conformance.stream_rules import first_violation

Block = dict[str, Any]
TIME: dict[str, Any] = {
    "name": "get_time",
    "description": "Get the time.",
    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
}
# What breaks a parser that is not careful: quotes, a backslash, a newline, markup, letters beyond ASCII.
AWKWARD: dict[str, Any] = {
    "text": 'C:\\tmp\\"ä" \U0001f388\n<b>&amp;</b> </tool_call> {"a": 1}',
    "number": -3,
    "yes": True,
    "deep": {"list": ["x y", "x y"]},
}
NOTE: dict[str, Any] = {
    "name": "take_note",
    "description": "Write a note down.",
    "input_schema": {
        "type": "object",
        "properties": {
            "text": {"type": "string", "enum": [AWKWARD["text"]]},
            "number": {"type": "integer", "enum": [-3]},
            "yes": {"type": "boolean", "enum": [True]},
            "deep": {
                "type": "object",
                "properties": {
                    "list": {
                        "type": "array",
                        "items": {"type": "string", "enum": ["x y"]},
                        "minItems": 2,
                        "maxItems": 2,
                    }
                },
                "required": ["list"],
                "additionalProperties": False,
            },
        },
        "required": ["text", "number", "yes", "deep"],
        "additionalProperties": False,
    },
}


def _request(tools: list[dict[str, Any]], choice: Mapping[str, Any], limit: int = 256) -> dict[str, Any]:
    return single_turn(QUESTION, limit, temperature=0, tools=tools, tool_choice=dict(choice))


def _forced_request(tool: dict[str, Any], limit: int = 256) -> dict[str, Any]:
    return _request([tool], {"type": "tool", "name": tool["name"]}, limit)


def _finished_in_both_modes(client: Client, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the message of both modes, if both reached an end."""
    return [(mode, require_finished(body, message, mode)) for mode, message in _both_modes(client, body)]


def _both_modes(client: Client, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the message, and the message of a stream."""
    return [("plain", expect_ok(client.message(body), "plain")), ("streamed", stream_message(client, body))]


def any_tool(client: Client) -> Outcome:
    """With `any`, at least one of the tools is called, with an input that its schema allows."""
    for mode, message in _finished_in_both_modes(client, _request([WEATHER, TIME], {"type": "any"})):
        calls = calls_of(message)
        expect(calls, f"{mode}: no call, but {text_of(message)[:60]!r}")
        for call in calls:
            _expect_known(call, mode)
        stop = message.get("stop_reason")
        expect(stop == "tool_use", f"{mode}: the stop_reason is {stop}, not tool_use")
    return passed(f"{', '.join(call['name'] for call in calls)}, also streamed")


def _expect_known(call: Block, mode: str) -> None:
    schemas = {WEATHER["name"]: CHOICES, TIME["name"]: {}}
    expect(call.get("name") in schemas, f"{mode}: the tool {call.get('name')!r} was not offered")
    expect(isinstance(call.get("input"), dict), f"{mode}: the input is {call.get('input')!r}, not an object")
    for name, allowed in schemas[call["name"]].items():
        value = call["input"].get(name)
        expect(value in allowed, f"{mode}: input.{name} is {value!r}, not one of {allowed}")


def no_tool(client: Client) -> Outcome:
    """With `none`, no tool is called, although tools are offered."""
    for mode, message in _both_modes(client, _request([WEATHER], {"type": "none"}, 32)):
        expect(not calls_of(message), f"{mode}: {calls_of(message)[:1]} was called")
        stop = message.get("stop_reason")
        expect(stop in {"end_turn", "max_tokens"}, f"{mode}: the stop_reason is {stop}")
    return passed(f"no call, {stop}")


def single_call(client: Client) -> Outcome:
    """With disable_parallel_tool_use there is exactly one call."""
    choice = {"type": "any", "disable_parallel_tool_use": True}
    for mode, message in _finished_in_both_modes(client, _request([WEATHER, TIME], choice)):
        count = len(calls_of(message))
        expect(count == 1, f"{mode}: {count} calls")
    return passed("one call, also streamed")


def no_arguments(client: Client) -> Outcome:
    """A tool without arguments is called with an empty object."""
    for mode, message in _finished_in_both_modes(client, _forced_request(TIME)):
        inputs = [call.get("input") for call in calls_of(message)]
        expect(inputs == [{}], f"{mode}: the inputs are {inputs}, not one empty object")
    return passed("input: {}")


def awkward_arguments(client: Client) -> Outcome:
    """Quotes, newlines, markup, numbers and nested lists arrive unchanged in a call's input."""
    for mode, message in _finished_in_both_modes(client, _forced_request(NOTE, 400)):
        inputs = [call.get("input") for call in calls_of(message)]
        shown = json.dumps(inputs, ensure_ascii=False)[:160]
        expect(inputs == [AWKWARD], f"{mode}: the input is not the only one its schema allows: {shown}")
    return passed("text, number, boolean and a nested list, also streamed")


def cut_call(client: Client) -> Outcome:
    """A call that max_tokens cuts ends with that stop_reason, and its part is not presented as complete."""
    body = {**FORCED, "max_tokens": 8}
    plain = expect_ok(client.message(body), "a cut call")
    _expect_cut(plain.get("stop_reason"), "plain")
    response = client.stream(body)
    broken = first_violation(response.events())
    expect(broken is None, f"streamed: {broken}")
    ends = [
        event.data["delta"].get("stop_reason") for event in response.events() if event.kind == "message_delta"
    ]
    _expect_cut(ends[-1], "streamed")
    return passed("stop_reason max_tokens, also streamed")


def _expect_cut(stop: Any, mode: str) -> None:
    expect(stop == "max_tokens", f"{mode}: a call of 8 tokens stops with {stop}, not max_tokens")


def loop(client: Client) -> Outcome:
    """A model's own call is sent back unchanged, with the results of two parallel calls, and is accepted."""
    first = require_finished(FORCED, expect_ok(client.message(FORCED), "the first step"), "the first step")
    expect(calls_of(first), "the first step: no call")
    other = {
        "type": "tool_use",
        "id": "toolu_other",
        "name": WEATHER["name"],
        "input": calls_of(first)[0]["input"],
    }
    results = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": "Sunny."}
        for call in [other, *calls_of(first)]
    ]
    turns = [
        *FORCED["messages"],
        {"role": "assistant", "content": [*first["content"], other]},
        {"role": "user", "content": results},
    ]
    second = {**FORCED, "messages": turns, "tool_choice": {"type": "none"}, "max_tokens": 8}
    for mode, message in _both_modes(client, second):
        expect(not calls_of(message), f"{mode}: called again in spite of `none`")
    return passed("two results, in another order than the calls")
