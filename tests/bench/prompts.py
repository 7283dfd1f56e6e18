"""The requests of the bench: short ones, and ones of the size and shape that a coding agent sends first.

Every word is drawn from a list by a seeded generator; nothing is any client's text.
"""

import random
from typing import Any

VOCABULARY = """\
the a file code test change read write search path line error result function module branch commit user
answer tool output must never always before after when only each short clear existing project directory
command option value number string list order step plan review build release config server client request"""
WORDS = VOCABULARY.split()
SYSTEM_WORDS = 2_600
TOOL_COUNT = 12
DESCRIPTION_WORDS = 260
RESULT_WORDS = 400
EPHEMERAL = {"type": "ephemeral"}
KINDS = ("string", "string", "string", "integer", "boolean", "array")


def short(number: int) -> dict[str, Any]:
    """A question, none like the other."""
    return {
        "model": "tiny",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": f"Question {number}: {_words(random.Random(number), 12)}?"}],
    }


def agentic(number: int) -> dict[str, Any]:
    """A coding agent's first turn: about 50 KB and 12,500 tokens, none like the other."""
    drawn = random.Random(number)
    system = [
        {"type": "text", "text": f"You are agent {number}."},
        {"type": "text", "text": _sections(drawn, SYSTEM_WORDS), "cache_control": EPHEMERAL},
    ]
    user = [
        {"type": "text", "text": f"<context>\n{_sections(drawn, 200)}\n</context>"},
        {"type": "text", "text": f"Task {number}: {_words(drawn, 30)}.", "cache_control": EPHEMERAL},
    ]
    return {
        "model": "tiny",
        "max_tokens": 1,
        "system": system,
        "tools": [_tool(drawn, place) for place in range(TOOL_COUNT)],
        "messages": [{"role": "user", "content": user}],
    }


def session(number: int, turns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request of a session that has had some turns, and the request behind it.

    All sessions share the system prompt and the tools; the conversation is none like the other.
    """
    body = agentic(0)
    drawn = random.Random(f"session {number} {turns}")
    messages = [{"role": "user", "content": f"Task {number}: {_words(drawn, 30)}."}]
    for turn in range(turns):
        messages += _turn(drawn, turn)
    return {**body, "messages": messages}, {**body, "messages": [*messages, *_turn(drawn, turns)]}


def _turn(drawn: random.Random, turn: int) -> list[dict[str, Any]]:
    """A call of a tool and its result."""
    name, identity = f"Tool{turn % TOOL_COUNT}", f"toolu_{turn}"
    text = {"type": "text", "text": f"{_words(drawn, 12)}."}
    call = {"type": "tool_use", "id": identity, "name": name, "input": {"path": _words(drawn, 6)}}
    result = {"type": "tool_result", "tool_use_id": identity, "content": _sections(drawn, RESULT_WORDS)}
    return [{"role": "assistant", "content": [text, call]}, {"role": "user", "content": [result]}]


def counted(body: dict[str, Any]) -> dict[str, Any]:
    """The body of `count_tokens` for the same prompt."""
    return {key: value for key, value in body.items() if key != "max_tokens"}


def _words(drawn: random.Random, count: int) -> str:
    return " ".join(drawn.choices(WORDS, k=count))


def _sections(drawn: random.Random, count: int) -> str:
    """Text with headings, lists and code, as prompts have it."""
    parts: list[str] = []
    for place in range(count // 40):
        body = _words(drawn, 38)
        match place % 4:
            case 0:
                parts.append(f"# {_words(drawn, 2).title()}\n\n{body.capitalize()}.")
            case 1:
                parts.append("\n".join(f"- {_words(drawn, 9).capitalize()}." for _ in range(4)))
            case 2:
                parts.append(f"{body.capitalize()}, e.g. `{drawn.choice(WORDS)} --{drawn.choice(WORDS)}`.")
            case _:
                parts.append(f"<example>\n{body}\n</example>")
    return "\n\n".join(parts)


def _tool(drawn: random.Random, place: int) -> dict[str, Any]:
    keys = drawn.sample(WORDS, 6)
    properties = {key: _property(drawn, kind) for key, kind in zip(keys, KINDS, strict=True)}
    return {
        "name": f"Tool{place}",
        "description": _sections(drawn, DESCRIPTION_WORDS),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": keys[:2],
            "additionalProperties": False,
        },
    }


def _property(drawn: random.Random, kind: str) -> dict[str, Any]:
    described: dict[str, Any] = {"type": kind, "description": f"{_words(drawn, 14).capitalize()}."}
    if kind == "array":
        described["items"] = {
            "type": "object",
            "properties": {"old": {"type": "string"}, "new": {"type": "string"}},
            "required": ["old", "new"],
        }
    return described
