"""Tools as plain text, for models whose chat template has no word for tools.

Called by the translate room, which adds `tools_text` to the system prompt and writes earlier calls
and results back with `call_text` and `result_text`. The text is part of every prompt's head: any
change to it needs a new version, or cached prefixes stop matching.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PROMPTED_VERSION: Final = 1
PROMPTED_PARSER: Final = "hermes"

_HEAD: Final = """\
# Tools

You can call these tools. Each line is one tool as JSON: its name, what it does, and the JSON schema of its \
arguments.

<tools>
"""
_TAIL: Final = """
</tools>

To call a tool, write exactly this, with valid JSON on one line:

<tool_call>
{"name": "tool_name", "arguments": {"argument_name": "value"}}
</tool_call>

Write one such block for each call, after any text, and then stop. The results come back inside \
<tool_response></tool_response>; never write those yourself. If no tool is needed, answer in plain text."""


def tools_text(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return what the system prompt says about the tools; empty without tools."""
    if not tools:
        return ""
    return _HEAD + "\n".join(_json(_described(tool)) for tool in tools) + _TAIL


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as the model is asked to write it."""
    return f"<tool_call>\n{_json({'name': name, 'arguments': arguments})}\n</tool_call>"


def result_text(name: str | None, content: str, is_error: bool) -> str:
    """Return a tool's result as the model reads it, inside a user's turn."""
    about = [f"Result of {name}"] if name else []
    if is_error:
        about = [f"{about[0]} (the call failed)" if about else "The call failed"]
    head = f"{about[0]}:\n" if about else ""
    return f"<tool_response>\n{head}{content}\n</tool_response>"


def _described(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function", tool)
    return {key: function[key] for key in ("name", "description", "parameters") if key in function}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
