"""The Claude Agent SDK, which drives Claude Code: its tasks, which `tasks` does."""

from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    StreamEvent,
    create_sdk_mcp_server,
    query,
    tool,
)
from tasks import do_all


@tool("locate", "Find an animal.", {"animal": str})
async def locate(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "The heron lives in Oslo."}]}


@tool("weather", "Tell the weather.", {"city": str})
async def weather(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "7 degrees in Oslo."}]}


BIRDS = create_sdk_mcp_server("birds", tools=[locate, weather])
WITH_TOOLS: dict[str, Any] = {
    "mcp_servers": {"birds": BIRDS},
    "allowed_tools": ["mcp__birds__locate", "mcp__birds__weather"],
}


def options(**more: Any) -> ClaudeAgentOptions:
    return ClaudeAgentOptions(system_prompt="You know birds.", max_turns=5, setting_sources=[], **more)


def summary(messages: list[Any]) -> dict[str, Any]:
    end = next(message for message in messages if isinstance(message, ResultMessage))
    blocks = [block for m in messages if isinstance(m, AssistantMessage) for block in m.content]
    events = [message.event["type"] for message in messages if isinstance(message, StreamEvent)]
    return {
        "result": end.result,
        "is_error": end.is_error,
        "turns": end.num_turns,
        "kinds": [type(block).__name__ for block in blocks],
        "events": list(dict.fromkeys(events)),
        "usage": end.usage,
    }


async def plain() -> Any:
    return summary([message async for message in query(prompt="Say hello.", options=options())])


async def stream() -> Any:
    wanted = options(include_partial_messages=True)
    return summary([message async for message in query(prompt="Say hello.", options=wanted)])


async def loop() -> Any:
    async with ClaudeSDKClient(options(**WITH_TOOLS)) as client:
        await client.query("Is the heron cold?")
        return summary([message async for message in client.receive_response()])


do_all([plain, stream, loop])
