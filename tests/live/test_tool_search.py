"""Tool search on a live server: hundreds of deferred tools cost nothing until one is found."""

import json
from typing import Any

import anthropic

from support.server import Server

FINDER = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
SUBJECTS = ("invoice", "calendar", "ticket", "warehouse", "lighthouse")
TOOLS: list[dict[str, Any]] = [
    {
        "name": f"{SUBJECTS[number % 5]}_{number}",
        "description": f"Change the {SUBJECTS[number % 5]} number {number}, and say what it was before. " * 4,
        "input_schema": {
            "type": "object",
            "properties": {"value": {"type": "string"}},
            "required": ["value"],
        },
        "defer_loading": True,
    }
    for number in range(500)
]
FOUND = "lighthouse_44"
MOST_TOKENS = 2_000


def call(name: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


RULES = [
    {"when": f"Light it.*{FOUND}", "say": call(FOUND, value="on")},
    {"when": "Light it", "say": call("tool_search_tool_bm25", query="lighthouse number 44")},
]


def test_five_hundred_deferred_tools_stay_out_of_the_prompt_and_one_is_found_and_called(
    server: Server, anthropic_client: anthropic.Anthropic
) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Light it."}]}
    counted = anthropic_client.beta.messages.count_tokens(**asked, tools=[FINDER, *TOOLS])
    with server.playbook(RULES):
        message = anthropic_client.beta.messages.create(**asked, tools=[FINDER, *TOOLS], max_tokens=300)
    assert counted.input_tokens < MOST_TOKENS
    assert [block.type for block in message.content] == [
        "server_tool_use",
        "tool_search_tool_result",
        "tool_use",
    ]
    assert FOUND in [found.tool_name for found in message.content[1].content.tool_references]
    assert (message.content[2].name, message.content[2].input) == (FOUND, {"value": "on"})
    rounds = message.usage.iterations
    assert len(rounds) == 2
    assert all(each.input_tokens + each.cache_read_input_tokens < MOST_TOKENS for each in rounds)
