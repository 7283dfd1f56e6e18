"""pydantic-ai with its Anthropic model: its tasks, which `tasks` does."""

import os
from typing import Any

import anthropic
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse, ThinkingPart, ToolCallPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from tasks import do_all


class Place(BaseModel):
    """Where birds live."""

    city: str
    birds: int


def agent(name: str = os.environ["MODEL"], **more: Any) -> Agent[Any, Any]:
    profile = {"supports_json_schema_output": True}
    url = os.environ["ANTHROPIC_BASE_URL"]
    client = anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0, timeout=120)
    model = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client), profile=profile)
    return Agent(model, **{"model_settings": {"max_tokens": 2000}, "retries": 0, **more})


def thinking_agent() -> Agent[Any, Any]:
    settings = {"max_tokens": 2000, "anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}}
    made = agent(model_settings=settings)

    @made.tool_plain
    def locate(animal: str) -> str:
        """Find an animal."""
        return "The heron lives in Oslo."

    @made.tool_plain
    def weather(city: str) -> str:
        """Tell the weather."""
        return "7 degrees in Oslo."

    return made


def summary(result: Any) -> Any:
    replies = [message for message in result.all_messages() if isinstance(message, ModelResponse)]
    usage = result.usage() if callable(result.usage) else result.usage
    return {
        "replies": [reply_told(reply) for reply in replies],
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


def reply_told(reply: ModelResponse) -> Any:
    calls = [part for part in reply.parts if isinstance(part, ToolCallPart)]
    thoughts = [part for part in reply.parts if isinstance(part, ThinkingPart)]
    return {
        "finish": reply.finish_reason,
        "kinds": [part.part_kind for part in reply.parts],
        "calls": [[call.tool_name, call.args_as_dict()] for call in calls],
        "signed": [bool(thought.signature) for thought in thoughts],
    }


async def plain() -> Any:
    result = await agent().run("Say hello.")
    return {"output": result.output, **summary(result)}


async def stream() -> Any:
    async with agent().run_stream("Say hello.") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    return {"pieces": pieces, **summary(result)}


async def loop() -> Any:
    result = await thinking_agent().run("Is the heron cold?")
    return {"output": result.output, **summary(result)}


async def streamed_loop() -> Any:
    kinds: list[str] = []

    async def listen(context: Any, events: Any) -> None:
        kinds.extend([event.event_kind async for event in events])

    result = await thinking_agent().run("Is the heron cold?", event_stream_handler=listen)
    assert kinds.count("part_delta") > 3
    return {"output": result.output, **summary(result)}


async def object_by_tool() -> Any:
    return (await agent(output_type=Place).run("Fill in the tool.")).output.model_dump()


async def object_by_schema() -> Any:
    return (await agent(output_type=NativeOutput(Place)).run("Fill in the schema.")).output.model_dump()


async def error() -> Any:
    try:
        await agent("no-such-model").run("x")
    except ModelHTTPError as problem:
        return {"status": problem.status_code, "body": problem.body}


do_all([plain, stream, loop, streamed_loop, object_by_tool, object_by_schema, error])
