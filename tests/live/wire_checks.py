"""Reads a raw event stream and checks its grammar, apart from any SDK."""

import json
from typing import Any

import httpx

DELTA_OF = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}


def stream(http: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a streamed request, their grammar checked."""
    with http.stream("POST", "/v1/messages", json=body | {"stream": True}) as answer:
        text = answer.read().decode()
        assert answer.status_code == 200, text
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["request-id"].startswith("req_")
    return check(parse(text))


def parse(text: str) -> list[dict[str, Any]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def check(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without pings, if they follow the grammar."""
    said = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in said].count("message_start") == 1
    assert said[0]["type"] == "message_start"
    assert [event["type"] for event in said[-2:]] == ["message_delta", "message_stop"]
    open_block: dict[str, Any] | None = None
    index = -1
    for event in said[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                index += 1
                open_block = event["content_block"]
            case "content_block_delta":
                assert open_block is not None
                assert DELTA_OF[event["delta"]["type"]] == open_block["type"]
            case "content_block_stop":
                assert open_block is not None
                open_block = None
        assert event["index"] == index
    assert open_block is None
    return said


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what differs from one reply to the next."""
    content = [{key: value for key, value in block.items() if key != "id"} for block in message["content"]]
    usage = message["usage"]
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"]
    return {
        "content": content,
        "stop": (message["stop_reason"], message["stop_sequence"]),
        "model": message["model"],
        "tokens": (prompt, usage["output_tokens"], usage.get("output_tokens_details")),
    }
