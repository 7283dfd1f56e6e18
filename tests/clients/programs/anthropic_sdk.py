"""The official Python SDK, from 0.49 on: its tasks, which `tasks` does."""

import os
from typing import Any

import anthropic
from tasks import do_all

client = anthropic.Anthropic(
    base_url=os.environ["ANTHROPIC_BASE_URL"], api_key="x", max_retries=0, timeout=120
)
MODEL = os.environ["MODEL"]
TOOLS: list[Any] = [
    {
        "name": "locate",
        "description": "Find an animal.",
        "input_schema": {"type": "object", "properties": {"animal": {"type": "string"}}},
    },
    {
        "name": "weather",
        "description": "Tell the weather.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
]
RESULTS = {"locate": "The heron lives in Oslo.", "weather": "7 degrees in Oslo."}


def asked(text: str, **more: Any) -> dict[str, Any]:
    request = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
    return request | more


def plain() -> Any:
    reply = client.messages.create(**asked("Say hello.", extra_body={"temperature": 0.5, "top_k": 5}))
    return {"request_id": reply._request_id, "message": reply.model_dump()}


def stream() -> Any:
    with client.messages.stream(**asked("Say hello.")) as events:
        pieces = list(events.text_stream)
        return {"pieces": pieces, "message": events.get_final_message().model_dump()}


def raw_events() -> Any:
    """The class that the SDK has for each event of a stream; an event it does not know has none."""
    events = client.messages.create(**asked("Say hello.", stream=True))
    return [type(event).__name__ for event in events]


def loop() -> Any:
    """A loop by hand, streamed, that sends the SDK's own objects back."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = asked("Is the heron cold?", tools=TOOLS, thinking=thinking, max_tokens=2000)
    replies = []
    while not replies or replies[-1].stop_reason == "tool_use":
        with client.messages.stream(**request) as events:
            replies.append(events.get_final_message())
        request["messages"] += [
            {"role": "assistant", "content": replies[-1].content},
            {"role": "user", "content": [result(b) for b in replies[-1].content if b.type == "tool_use"]},
        ]
    return [reply.model_dump() for reply in replies]


def result(use: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use.id, "content": RESULTS[use.name]}


def runner() -> Any:
    """The SDK's own loop, where it has one."""
    from anthropic import beta_tool

    @beta_tool
    def locate(animal: str) -> str:
        """Find an animal."""
        return RESULTS["locate"]

    @beta_tool
    def weather(city: str) -> str:
        """Tell the weather."""
        return RESULTS["weather"]

    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = asked("Is the heron cold?", tools=[locate, weather], thinking=thinking, max_tokens=2000)
    steps = client.beta.messages.tool_runner(**request)
    return [message.model_dump() for message in steps]


def errors() -> Any:
    try:
        client.messages.create(**asked("Hello.", model="no-such-model"))
    except anthropic.APIStatusError as problem:
        return {"class": type(problem).__name__, "body": problem.body}


def models() -> Any:
    (first, *_) = client.models.list(limit=1)
    return {
        "first": first.model_dump(mode="json"),
        "counted": client.messages.count_tokens(
            **{k: v for k, v in asked("Say hello.").items() if k != "max_tokens"}
        ).input_tokens,
    }


runners = [runner] if hasattr(client.beta.messages, "tool_runner") else []
do_all([plain, stream, raw_events, loop, *runners, errors, models])
