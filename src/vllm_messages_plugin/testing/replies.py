"""Whole replies for `FakeEngine`, as the deltas that an engine would produce.

A word counts as one token.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vllm_messages_plugin.stream.deltas import (
    EndReason,
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    ReplyFinished,
)


def text_reply(text: str, *, thinking: str = "", reason: EndReason = "stop") -> list[EngineDelta]:
    """Return a reply of text, after thinking if there is any; one delta for each word.

    Args:
        text: The reply's text.
        thinking: What the model thinks before it.
        reason: Why the reply ends: `stop` gives `end_turn`, `length` gives `max_tokens`.
    """
    thinking_deltas = [EngineThinking(word, 1) for word in _words(thinking)]
    text_deltas = [EngineText(word) for word in _words(text)]
    return [*thinking_deltas, *text_deltas, _finished(len(thinking_deltas), len(text_deltas), reason)]


def tool_call_reply(*calls: tuple[str, Mapping[str, Any]], text: str = "") -> list[EngineDelta]:
    """Return a reply that calls tools, after text if there is any.

    Args:
        calls: The name and the arguments of each call, in order.
        text: What the model writes before the first call.
    """
    deltas: list[EngineDelta] = [EngineText(word) for word in _words(text)]
    for index, (name, arguments) in enumerate(calls):
        deltas.append(EngineToolCall(index, name))
        deltas.append(EngineToolCall(index, arguments=json.dumps(arguments)))
    return [*deltas, _finished(0, len(deltas), "stop")]


def _words(text: str) -> Sequence[str]:
    """Return the words of a text, each with the space before it."""
    words = text.split(" ") if text else []
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]


def _finished(thinking_tokens: int, other_tokens: int, reason: EndReason) -> ReplyFinished:
    return ReplyFinished(reason, thinking_tokens + other_tokens, thinking_tokens or None)
