"""Sentinels: made-up words that stand in the probe's conversations, and the messages that carry them.

No template contains these words itself. So a sentinel in a rendered prompt comes from the message that
carries it, and what surrounds it is the template's markup.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.formats.probing.template_profile import ArgumentsForm

Message = dict[str, Any]
"""A message in OpenAI's form."""
Tools = Sequence[Mapping[str, Any]]
"""Tools in OpenAI's form."""

USER: Final = "zqasksfirst"
USER_AGAIN: Final = "zqaskssecond"
SYSTEM: Final = "zqrules"
ANSWER: Final = "zqanswers"
REASONING: Final = "zqponders"
RESULT: Final = "zqresult"
NAME: Final = "zq_lookup"
KEY: Final = "zqpath"
VALUE: Final = "zqvalue"
OTHER_KEY: Final = "zqcount"
NUMBER: Final = 73129
CALL_ID: Final = "zqcall001"  # nine letters and digits: Mistral's templates take no other ids

TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "Looks something up.",
        "parameters": {
            "type": "object",
            "properties": {
                KEY: {"type": "string", "description": "Where to look."},
                OTHER_KEY: {"type": "integer", "description": "How often."},
            },
            "required": [KEY, OTHER_KEY],
        },
    },
}


def user(text: str = USER) -> Message:
    """Return a user message."""
    return {"role": "user", "content": text}


def system(text: str = SYSTEM) -> Message:
    """Return a system message."""
    return {"role": "system", "content": text}


def assistant(text: str = ANSWER, **fields: object) -> Message:
    """Return an assistant message with text; `fields` are further fields of the message."""
    return {"role": "assistant", "content": text, **fields}


def call(arguments_as: ArgumentsForm, content: str | None, **fields: object) -> Message:
    """Return an assistant message that calls the tool.

    Args:
        arguments_as: whether the arguments are an object or JSON text.
        content: the text beside the call.
        **fields: further fields of the message.
    """
    arguments: object = {KEY: VALUE, OTHER_KEY: NUMBER}
    if arguments_as == "string":
        arguments = json.dumps(arguments)
    function = {"name": NAME, "arguments": arguments}
    tool_call = {"id": CALL_ID, "type": "function", "function": function}
    return {"role": "assistant", "content": content, **fields, "tool_calls": [tool_call]}


def result() -> Message:
    """Return the tool result that belongs to `call`."""
    return {"role": "tool", "tool_call_id": CALL_ID, "name": NAME, "content": RESULT}


def tool_exchange(
    arguments_as: ArgumentsForm,
    content: str | None,
    answered: bool = True,
    fields: Mapping[str, object] | None = None,
) -> list[Message]:
    """Return a user message, a call and, if it is answered, its result; arguments as for `call`."""
    messages = [user(), call(arguments_as, content, **(fields or {}))]
    return [*messages, result()] if answered else messages


def with_call_id(messages: Iterable[Message], call_id: str) -> list[Message]:
    """Return the messages with another id in every call and every result."""
    return [_with_call_id(message, call_id) for message in messages]


def _with_call_id(message: Message, call_id: str) -> Message:
    if "tool_call_id" in message:
        return {**message, "tool_call_id": call_id}
    if "tool_calls" in message:
        return {**message, "tool_calls": [{**call, "id": call_id} for call in message["tool_calls"]]}
    return message


def in_order(text: str | None, words: Iterable[str]) -> bool:
    """Return whether each word occurs exactly once in the text, in this order."""
    if text is None:
        return False
    position = -1
    for word in words:
        found = text.find(word, position + 1)
        if found < 0 or text.count(word) != 1:
            return False
        position = found
    return True
