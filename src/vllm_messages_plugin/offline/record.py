"""Reads what a client or the server has logged of a request: a body, or a file of VLLM_MESSAGES_RECORD."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_messages_plugin.translate.tools.request_tools import request_tools
from vllm_messages_plugin.translate.tools.tool_changes import callable_tools
from vllm_messages_plugin.wire.request import CountTokensRequest, parse

PLACEHOLDER = {"model": "any", "messages": [{"role": "user", "content": "any"}]}


@dataclass(frozen=True, slots=True)
class Record:
    """A logged request with what came of it. A field that was not logged is None or empty.

    Attributes:
        request: the body of the request.
        output_text: the model's raw output.
        call_format: the name of the tool-call format in which the output was read.
        tools: the offered tools in OpenAI's form.
        thinking_open: whether the prompt ended inside thinking.
    """

    request: Mapping[str, Any] | None = None
    output_text: str | None = None
    call_format: str | None = None
    tools: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    thinking_open: bool | None = None


def read_record(text: str) -> Record | None:
    """Return what a logged text holds; None if it is neither a record nor a request.

    Args:
        text: JSON: a file of VLLM_MESSAGES_RECORD, a request body, or an object with the body under `body` or
            `request`, as an object or as text.
    """
    try:
        logged = json.loads(text)
    except ValueError:
        return None
    if not isinstance(logged, dict):
        return None
    request = _object(logged.get("request")) or _object(logged.get("body"))
    if request is None and "messages" in logged:
        request = logged
    output_text = logged.get("output_text")
    if request is None and not isinstance(output_text, str):
        return None
    return Record(
        request=request,
        output_text=output_text if isinstance(output_text, str) else None,
        call_format=logged.get("format"),
        tools=tuple(_tools(logged, request)),
        thinking_open=logged.get("thinking_open"),
    )


def openai_tools(tools: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return tools in OpenAI's form, from either form.

    Raises:
        MessagesError: 400, a tool is not valid.
    """
    is_list = isinstance(tools, list | tuple)
    if is_list and all(isinstance(tool, dict) and "function" in tool for tool in tools):
        return tools
    request = parse(json.dumps({**PLACEHOLDER, "tools": tools}).encode(), CountTokensRequest)
    return [dict(tool) for tool in callable_tools(request_tools(request), request.messages)]


def _tools(logged: Mapping[str, Any], request: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    tools = logged.get("tools") or (request or {}).get("tools") or ()
    return openai_tools(tools)


def _object(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None
