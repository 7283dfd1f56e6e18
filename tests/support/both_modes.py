"""Asks a server with the official SDK, streamed and not, and requires that both replies are the same."""

from dataclasses import dataclass
from typing import Any

import anthropic

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """A reply whole, the same reply as it was streamed, and the input of its calls as that was streamed."""

    message: Json
    streamed: Json
    partial_json: str

    @property
    def blocks(self) -> list[tuple[str, Any]]:
        """The blocks of the whole reply; see `blocks_of`."""
        return blocks_of(self.message)


def blocks_of(message: Json) -> list[tuple[str, Any]]:
    """Each block: a call as its name and input, others as their type and text."""
    return [
        (block["name"], block["input"])
        if block["type"] == "tool_use"
        else (block["type"], block[block["type"]])
        for block in message["content"]
    ]


def ask_in_both_modes(url: str, request: Json, *, is_scripted: bool = True) -> Reply:
    """Send a request in both modes and return the reply.

    Args:
        url: The server's base URL.
        request: Arguments of the SDK's `messages.create`.
        is_scripted: Whether a script says all of the reply, so that both must be the same. What a random
            model writes by itself may differ: a prompt from the prefix cache gives slightly other numbers.
    """
    with (
        anthropic.DefaultHttpxClient(trust_env=False) as transport,
        anthropic.Anthropic(
            base_url=url, api_key="x", max_retries=0, timeout=300, http_client=transport
        ) as client,
    ):
        collected = client.messages.create(**request).to_dict()
        with client.messages.stream(**request) as events:
            parts = [event.partial_json for event in events if event.type == "input_json"]
            accumulated = events.get_final_message().to_dict()
    assert not is_scripted or comparable(accumulated) == comparable(collected)
    return Reply(collected, accumulated, "".join(parts))


def comparable(message: Json) -> Json:
    """A message without what differs from one reply to the next.

    The count of the thinking's tokens is left out: it is an estimate where the tags are no tokens.
    """
    usage = message["usage"]
    return {
        "content": [
            {key: value for key, value in block.items() if key != "id"} for block in message["content"]
        ],
        "stop": (message["stop_reason"], message["stop_sequence"]),
        "model": message["model"],
        "tokens": (usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"]),
    }
