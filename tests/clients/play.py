"""What the scripted model says to every client: a plain answer, and a loop of two calls and an answer."""

import json
from typing import Any

Rule = dict[str, Any]

GREETING = "Say hello."
HELLO: list[Rule] = [{"when": "Say hello", "say": "Hello, heron."}]

QUESTION = "Is the heron cold?"
ANSWER = "It is 7 degrees where the heron lives."
# What the tools of each client's program return.
PLACE, WEATHER = "The heron lives in Oslo", "7 degrees in Oslo"
THOUGHT = "<think>\nI must find the bird.\n</think>\n\n"


def call(name: str, /, **arguments: Any) -> str:
    """Write a call as the model of `tiny` does."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def loop(prefix: str = "", locate: str = "locate", weather: str = "weather", seen: str = "") -> list[Rule]:
    """Ask where the heron lives, then for the weather there, then answer; each turn begins with `prefix`.

    The tools have the names given. `seen` is what the prompt must hold of the turn before, its thought say.
    """
    return [
        {"when": f"{seen}.*{WEATHER}", "say": f"{prefix}{ANSWER}"},
        {"when": f"{seen}.*{PLACE}", "say": f"{prefix}Now the weather.\n{call(weather, city='Oslo')}"},
        {"when": "heron cold", "say": f"{prefix}I look it up.\n{call(locate, animal='heron')}"},
    ]
