"""What a client does: each action sends one request and checks the reply.

An action raises `ViolationError` when the server breaks the protocol or the reply is not the scripted one.
"""

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx

from vllm_messages_plugin.conformance.stream_rules import accumulate, first_violation, parse_events

Json = dict[str, Any]
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
TOOLS: list[Json] = [
    {
        "name": "Write",
        "description": "Write a file.",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["path", "content"],
        },
    }
]


class ViolationError(Exception):
    """The server broke the protocol, or replied something else than the script says."""


@dataclass(frozen=True)
class Client:
    """One client: the official SDK, a plain HTTP client, and its own source of random choices."""

    sdk: anthropic.AsyncAnthropic
    http: httpx.AsyncClient
    model: str
    random: random.Random

    def text(self, longest: int = 120) -> str:
        """Return a random text of words."""
        return " ".join(self.random.choices(WORDS, k=self.random.randint(1, longest)))


def asking(client: Client, script: str, **fields: Any) -> Json:
    """Return the arguments of an SDK call whose reply is the script."""
    return {
        "model": client.model,
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": client.text()}],
        "extra_body": {"vllm_xargs": {"script": script}},
        **fields,
    }


def require(found: Any, expected: Any, what: str) -> None:
    """Raise unless a part of the reply is the expected one."""
    if found != expected:
        raise ViolationError(f"{what}: {str(found)[:200]!r}, not {str(expected)[:200]!r}")


async def streamed_text(client: Client) -> None:
    """A text reply, accumulated by the SDK."""
    script = client.text()
    async with client.sdk.messages.stream(**asking(client, script)) as stream:
        message = await stream.get_final_message()
    require(message.content[0].text, script, "streamed text")
    require(message.stop_reason, "end_turn", "stop_reason")


async def collected_text(client: Client) -> None:
    """A text reply that is not streamed."""
    script = client.text()
    message = await client.sdk.messages.create(**asking(client, script))
    require(message.content[0].text, script, "text")


async def streamed_call(client: Client) -> None:
    """Thinking, text and a tool call, checked by the rules of the stream."""
    arguments = {"path": "/a.txt", "content": client.text()}
    call = json.dumps({"name": "Write", "arguments": arguments})
    body = asking(
        client, f"<think>\nHm.\n</think>\n\nI write.\n<tool_call>\n{call}\n</tool_call>", tools=TOOLS
    )
    body |= {"stream": True, "thinking": {"type": "enabled", "budget_tokens": 1024}} | body.pop("extra_body")
    reply = await client.http.post("/v1/messages", json=body)
    require(reply.status_code, 200, "status")
    events = parse_events(reply.text)
    if broken := first_violation(events):
        raise ViolationError(broken)
    blocks = accumulate(events)["content"]
    require([block["type"] for block in blocks], ["thinking", "text", "tool_use"], "blocks")
    require(blocks[2]["input"], arguments, "input")


async def cancelled_stream(client: Client) -> None:
    """A reply without end that the client leaves after a few events."""
    body = asking(client, "on", max_tokens=100_000)
    body["extra_body"]["vllm_xargs"]["script_end"] = "none"
    async with client.sdk.messages.stream(**body) as stream:
        left = client.random.randint(1, 8)
        async for _ in stream:
            left -= 1
            if not left:
                break


async def refused(client: Client) -> None:
    """A request that is refused by a field's name."""
    try:
        await client.sdk.messages.create(**asking(client, "x", max_tokens=-1))
    except anthropic.BadRequestError as error:
        if "max_tokens" not in str(error):
            raise ViolationError(f"the refusal names no field: {error}") from error
    else:
        raise ViolationError("max_tokens -1 was accepted")


async def unknown_model(client: Client) -> None:
    """A model that the server does not have."""
    try:
        await client.sdk.messages.create(**asking(client, "x", model="no-such-model"))
    except anthropic.NotFoundError:
        return
    raise ViolationError("an unknown model was accepted")


async def counted(client: Client) -> None:
    """A token count."""
    messages: Any = [{"role": "user", "content": client.text()}]
    count = await client.sdk.messages.count_tokens(model=client.model, messages=messages)
    if count.input_tokens < 1:
        raise ViolationError("a prompt of no tokens")


Action = Callable[[Client], Awaitable[None]]

ACTIONS: Mapping[Action, int] = {
    streamed_text: 5,
    collected_text: 2,
    streamed_call: 4,
    cancelled_stream: 2,
    refused: 1,
    unknown_model: 1,
    counted: 1,
}
"""Each action, and how often it is chosen."""
