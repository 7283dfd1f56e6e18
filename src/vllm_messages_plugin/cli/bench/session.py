"""Builds a coding agent's session, turn by turn. Pure.

The session has the parts that decide about prefix caching: tools, system blocks with a billing line that
differs between sessions, a system message after the first prompt, and calls and results that are only
appended.
"""

from collections.abc import Iterator
from typing import Any

WORDS = "the parser reads a line and the writer keeps what the reader said about it in order "
WORDS_TOKENS = 17  # about, with any tokenizer for English
# So much of the window the whole session takes, and never more than an agent's usual one.
SHARE, MOST_TOKENS, UNKNOWN_WINDOW = 0.75, 24_000, 8192
HEAD_SHARE = 0.5  # of the session's tokens: tools, system and first prompt, as with Claude Code
TOOLS = (("read_file", "path"), ("edit_file", "path"), ("run_command", "command"), ("search", "pattern"))
# What a tool's frame, a call's and a message's cost besides their words, about.
FRAME_TOKENS = 60

Block = dict[str, Any]
Body = dict[str, Any]


def session(name: str, turns: int, window: int | None, tokens: int) -> Iterator[Body]:
    """Yield the requests of a session, each one the previous one plus a call and its result.

    Args:
        name: Makes the session differ from every other.
        turns: The number of requests.
        window: The context window in tokens; None if unknown.
        tokens: The longest reply, in tokens.
    """
    budget = min(MOST_TOKENS, int((window or UNKNOWN_WINDOW) * SHARE)) - tokens
    head = int(budget * HEAD_SHARE)
    each = max(WORDS_TOKENS, (budget - head) // max(1, turns) - 2 * FRAME_TOKENS)
    messages = _opening(name, head)
    for turn in range(1, turns + 1):
        yield {
            "max_tokens": tokens,
            "system": _system(name, head // 2),
            "tools": [_tool(*tool, head // 8) for tool in TOOLS],
            "messages": list(messages),
            "cache_control": {"type": "ephemeral"},
        }
        messages += _step(turn, each)


def text_of_tokens(tokens: int) -> str:
    """Return a text of about this many tokens."""
    return (WORDS * (tokens // WORDS_TOKENS + 1)).strip()


def _text(words: str) -> Block:
    return {"type": "text", "text": words}


def _system(name: str, tokens: int) -> list[Block]:
    billing = f"x-anthropic-billing-header: cc_version=2.1.332.{name[:3]}; cc_entrypoint=cli;"
    return [_text(billing), _text("You are a coding agent."), _text(text_of_tokens(tokens - FRAME_TOKENS))]


def _tool(name: str, argument: str, tokens: int) -> Body:
    properties = {argument: {"type": "string", "description": f"The {argument} to use."}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": [argument],
        "additionalProperties": False,
    }
    words = text_of_tokens(max(WORDS_TOKENS, tokens - 2 * FRAME_TOKENS))
    return {"name": name, "description": words, "input_schema": schema}


def _opening(name: str, head: int) -> list[Body]:
    prompt = f"Session {name}. Find out why the tests fail and mend them."
    place = f"The working directory is /home/dev/{name[:6]}. {text_of_tokens(head // 16)}"
    return [{"role": "user", "content": [_text(prompt)]}, {"role": "system", "content": place}]


def _step(turn: int, tokens: int) -> list[Body]:
    tool, argument = TOOLS[turn % len(TOOLS)]
    call = {
        "type": "tool_use",
        "id": f"toolu_{turn:04}",
        "name": tool,
        "input": {argument: f"src/part_{turn}.py"},
    }
    result = {"type": "tool_result", "tool_use_id": f"toolu_{turn:04}", "content": text_of_tokens(tokens)}
    return [
        {"role": "assistant", "content": [_text(f"Step {turn}: I look at part {turn}."), call]},
        {"role": "user", "content": [result]},
    ]
