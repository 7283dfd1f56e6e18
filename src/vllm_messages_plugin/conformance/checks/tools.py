"""Checks of tool calls and their results. The schema consists of enums, so any model can satisfy it."""

from typing import Any

from vllm_messages_plugin.conformance.checks.expectations import (
    calls_of,
    expect_ok,
    require_finished,
    single_turn,
    stream_message,
)
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome, expect, passed

CHOICES = {"city": ["Paris", "Oslo"], "unit": ["celsius", "fahrenheit"]}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {name: {"type": "string", "enum": values} for name, values in CHOICES.items()},
        "required": list(CHOICES),
        "additionalProperties": False,
    },
}
QUESTION = "What is the weather in Paris, in celsius?"
FORCED = single_turn(
    QUESTION, 256, temperature=0, tools=[WEATHER], tool_choice={"type": "tool", "name": WEATHER["name"]}
)


def forced_tool(client: Client) -> Outcome:
    """A forced tool is called, with an input that its schema allows, streamed or not."""
    message = require_finished(FORCED, expect_ok(client.message(FORCED), "with a forced tool"), "plain")
    plain = _expect_call(message, "plain")
    streamed_call = _expect_call(
        require_finished(FORCED, stream_message(client, FORCED), "streamed"), "streamed"
    )
    expect(plain["id"] != streamed_call["id"], f"two calls share the id {plain['id']}")
    return passed(f"{plain['name']}({plain['input']}), also streamed")


def _expect_call(message: dict[str, Any], mode: str) -> dict[str, Any]:
    calls = calls_of(message)
    stop = message.get("stop_reason")
    expect(len(calls) == 1, f"{mode}: {len(calls)} tool_use blocks, stop_reason {stop}")
    call = calls[0]
    expect(str(call.get("id")).startswith("toolu_"), f"{mode}: the call's id is {call.get('id')!r}")
    expect(call.get("name") == WEATHER["name"], f"{mode}: the call's name is {call.get('name')!r}")
    _expect_input(call.get("input"), mode)
    expect(stop == "tool_use", f"{mode}: the stop_reason is {stop}, not tool_use")
    return call


def _expect_input(given: Any, mode: str) -> None:
    expect(isinstance(given, dict), f"{mode}: the input is {given!r}, not an object")
    for name, allowed in CHOICES.items():
        expect(
            given.get(name) in allowed, f"{mode}: input.{name} is {given.get(name)!r}, not one of {allowed}"
        )


def _use(call: str, city: str) -> dict[str, Any]:
    given = {"city": city, "unit": "celsius"}
    return {"type": "tool_use", "id": call, "name": WEATHER["name"], "input": given}


RESULTS: tuple[dict[str, Any], ...] = (
    {
        "type": "tool_result",
        "tool_use_id": "toolu_second",
        "is_error": True,
        "content": "No such station.",
    },
    {
        "type": "tool_result",
        "tool_use_id": "toolu_first",
        "content": [{"type": "text", "text": "Sunny."}, {"type": "text", "text": "21 degrees."}],
    },
    {"type": "tool_result", "tool_use_id": "toolu_third"},
)
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": QUESTION},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I will look."},
            _use("toolu_first", "Paris"),
            _use("toolu_second", "Oslo"),
            _use("toolu_third", "Oslo"),
        ],
    },
    {"role": "user", "content": [*RESULTS, {"type": "text", "text": "So?"}]},
]


def tool_result(client: Client) -> Outcome:
    """Parallel results in any order, one an error, one a list and one empty, are accepted."""
    body = {"max_tokens": 8, "messages": TURNS, "tools": [WEATHER], "tool_choice": {"type": "none"}}
    message = expect_ok(client.message(body), "with tool results")
    expect(isinstance(message.get("content"), list), "the answer has no content")
    return passed("an error, a list and an empty result, out of order")
