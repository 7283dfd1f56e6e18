"""Parses a raw event stream and checks the order of its events, without an SDK."""

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
    """Return the events of a streamed request, after checking their order."""
    with http.stream("POST", "/v1/messages", json=body | {"stream": True}) as response:
        text = response.read().decode()
        assert response.status_code == 200, text
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["request-id"].startswith("req_")
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
    """Check the order of the events and return them without pings."""
    without_pings = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in without_pings].count("message_start") == 1
    assert without_pings[0]["type"] == "message_start"
    assert [event["type"] for event in without_pings[-2:]] == ["message_delta", "message_stop"]
    open_block: dict[str, Any] | None = None
    index = -1
    for event in without_pings[1:-2]:
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
    return without_pings


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
