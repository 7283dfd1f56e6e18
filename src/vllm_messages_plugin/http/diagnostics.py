"""Why a prompt did not hit the cache: where it parts from the prompt of an earlier reply.

Used by `messages` for clients that send `diagnostics`. Only their prompts are remembered, the latest of
them, in this process.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.wire.request import CountTokensRequest
from vllm_messages_plugin.wire.sse import dump

MOST_TOKENS = 4_000_000
"""Tokens remembered over all prompts, four bytes each."""


@dataclass(frozen=True, slots=True)
class Remembered:
    model: str
    system: bytes
    tools: bytes
    tokens: "array[int]"


def remember(request: CountTokensRequest, model: str, tokens: Sequence[int]) -> Remembered:
    """What is kept of a prompt."""
    system = request.system
    texts = [system] if isinstance(system, str) else [block.text for block in system or []]
    tools = [tool.model_dump(mode="json", exclude={"cache_control"}) for tool in request.tools or []]
    return Remembered(model, _digest(texts), _digest(tools), array("I", tokens))


def _digest(value: Any) -> bytes:
    return hashlib.sha256(dump(value)).digest()


class PromptMemory:
    """The latest prompts by the ids of their replies."""

    def __init__(self, most_tokens: int = MOST_TOKENS) -> None:
        self._prompts: OrderedDict[str, Remembered] = OrderedDict()
        self._most_tokens = most_tokens
        self._tokens = 0

    def put(self, message_id: str, prompt: Remembered) -> None:
        self._prompts[message_id] = prompt
        self._tokens += len(prompt.tokens)
        while self._tokens > self._most_tokens and self._prompts:
            self._tokens -= len(self._prompts.popitem(last=False)[1].tokens)

    def reason(self, previous_id: str | None, now: Remembered) -> dict[str, Any] | None:
        """The `cache_miss_reason` against an earlier reply; None without one, or where nothing was missed."""
        if previous_id is None:
            return None
        before = self._prompts.get(previous_id)
        if before is None:
            return {"type": "previous_message_not_found"}
        missed = len(before.tokens) - common_prefix(before.tokens, now.tokens)
        if missed == 0 and before.model == now.model:
            return None
        return {"type": _changed(before, now), "cache_missed_input_tokens": missed}


def _changed(before: Remembered, now: Remembered) -> str:
    if before.model != now.model:
        return "model_changed"
    if before.tools != now.tools:
        return "tools_changed"
    return "system_changed" if before.system != now.system else "messages_changed"


def common_prefix(one: "array[int]", other: "array[int]") -> int:
    """How many items two arrays share from their heads; halves at machine speed."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
