"""The scripted replies for every client: a text, a loop of two tool calls, and a JSON object."""

import json
from typing import Any

Rule = dict[str, Any]

QUESTION = "Is the heron cold?"
GREETING, ANSWER = "Hello, heron.", "It is 7 degrees where the heron lives."
THINKING = "<think>\nI must find the bird.\n</think>\n\n"
OBJECT = {"city": "Oslo", "birds": 3}
# What the tools of each client's program return.
PLACE, WEATHER = "The heron lives in Oslo", "7 degrees in Oslo"

HELLO: list[Rule] = [{"when": "Say hello", "say": GREETING}]


def call(name: str, /, **arguments: Any) -> str:
    """Return a tool call in the format of the tiny model."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def loop(prefix: str = "", seen: str = "", of: str = "") -> list[Rule]:
    """Ask where the heron lives, then for the weather there, then answer; each turn begins with `prefix`.

    `seen` is what the prompt must hold of the turn before: a thought that came back. `of` begins the
    tools' names.
    """
    locate, weather = call(f"{of}locate", animal="heron"), call(f"{of}weather", city="Oslo")
    return [
        {"when": f"{seen}.*{WEATHER}", "say": f"{prefix}{ANSWER}"},
        {"when": f"{seen}.*{PLACE}", "say": f"{prefix}Now the weather.\n{weather}"},
        {"when": "heron cold", "say": f"{prefix}I look it up.\n{locate}"},
    ]


def everything(tool: str) -> list[Rule]:
    """Return the rules for all tasks of a client; `tool` is the tool it forces for objects."""
    objects = [
        {"when": "Fill in the tool", "say": call(tool, **OBJECT)},
        {"when": "Fill in the schema", "say": json.dumps(OBJECT)},
    ]
    return [*HELLO, *objects, *loop(THINKING, seen="find the bird")]
