"""Tools described as text, for models whose chat template does not support tools.

`tools_text` goes into the system prompt; `call_text` and `result_text` render the calls and results of
earlier turns. The text stands at the head of every prompt, so any change to it needs a new
`PROMPTED_VERSION`: cached prefixes stop matching.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PROMPTED_VERSION: Final = 1
PROMPTED_PARSER: Final = "hermes"
PROMPTED_FORMAT: Final = "hermes_json"
"""The tool-call format that the text asks for."""

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
    """Return the description of the tools for the system prompt; empty without tools."""
    if not tools:
        return ""
    return _HEAD + "\n".join(_json(_name_description_schema(tool)) for tool in tools) + _TAIL


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as the model is asked to write it."""
    return f"<tool_call>\n{_json({'name': name, 'arguments': arguments})}\n</tool_call>"


def result_text(name: str | None, content: str, is_error: bool) -> str:
    """Return a tool's result as it is shown to the model in a user message.

    Args:
        name: the tool's name; None if the call is not in the conversation.
        content: the result as text.
        is_error: the call failed.
    """
    heading = f"Result of {name}" if name else ""
    if is_error:
        heading = f"{heading} (the call failed)" if heading else "The call failed"
    head = f"{heading}:\n" if heading else ""
    return f"<tool_response>\n{head}{content}\n</tool_response>"


def _name_description_schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function", tool)
    return {key: function[key] for key in ("name", "description", "parameters") if key in function}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
