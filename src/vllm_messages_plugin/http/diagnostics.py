"""The `diagnostics` of a reply: why its prompt missed the prefix cache, compared with an earlier prompt.

Only the prompts of clients that send `diagnostics` are recorded: the most recent ones, in this process.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.wire.request import CountTokensRequest
from vllm_messages_plugin.wire.sse import dump

MAX_RECORDED_TOKENS = 4_000_000
"""Upper bound on the tokens recorded over all prompts, at four bytes each."""


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """What is kept of one prompt. `system` and `tools` are SHA-256 digests."""

    model: str
    system: bytes
    tools: bytes
    tokens: "array[int]"


def record_prompt(request: CountTokensRequest, model: str, token_ids: Sequence[int]) -> PromptRecord:
    """Return the record of a request's prompt.

    Args:
        request: The request, after its context edits.
        model: The served model that replies.
        token_ids: The rendered prompt.
    """
    system = request.system
    texts = [system] if isinstance(system, str) else [block.text for block in system or []]
    tools = [tool.model_dump(mode="json", exclude={"cache_control"}) for tool in request.tools or []]
    return PromptRecord(model, _digest(texts), _digest(tools), array("I", token_ids))


def _digest(value: Any) -> bytes:
    return hashlib.sha256(dump(value)).digest()


class PromptHistory:
    """The most recent prompts of one server process, keyed by the ids of their replies."""

    def __init__(self, max_tokens: int = MAX_RECORDED_TOKENS, *, complete: bool = True) -> None:
        """Create an empty history.

        Args:
            max_tokens: The most tokens to record over all prompts.
            complete: Whether all requests come to this process. If not, an earlier reply that is not here may
                have been another process's, and its diagnosis is `unavailable`.
        """
        self._prompts: OrderedDict[str, PromptRecord] = OrderedDict()
        self._max_tokens = max_tokens
        self._complete = complete
        self._tokens = 0

    def add(self, message_id: str, prompt: PromptRecord) -> None:
        """Record a prompt, dropping the oldest ones while the token limit is exceeded."""
        self._prompts[message_id] = prompt
        self._tokens += len(prompt.tokens)
        while self._tokens > self._max_tokens and self._prompts:
            self._tokens -= len(self._prompts.popitem(last=False)[1].tokens)

    def cache_miss_reason(self, previous_id: str | None, current: PromptRecord) -> dict[str, Any] | None:
        """Return the `cache_miss_reason` of a prompt compared with that of an earlier reply.

        Args:
            previous_id: The id of the earlier reply; None if the client named none.
            current: The prompt of this request.

        Returns:
            The reason as the protocol writes it; None without an earlier reply or without a miss.
        """
        if previous_id is None:
            return None
        previous = self._prompts.get(previous_id)
        if previous is None:
            return {"type": "previous_message_not_found" if self._complete else "unavailable"}
        missed = len(previous.tokens) - common_prefix_length(previous.tokens, current.tokens)
        if missed == 0 and previous.model == current.model:
            return None
        return {"type": _miss_type(previous, current), "cache_missed_input_tokens": missed}


def _miss_type(previous: PromptRecord, current: PromptRecord) -> str:
    if previous.model != current.model:
        return "model_changed"
    if previous.tools != current.tools:
        return "tools_changed"
    return "system_changed" if previous.system != current.system else "messages_changed"


def common_prefix_length(one: "array[int]", other: "array[int]") -> int:
    """Return how many leading items two arrays share.

    A binary search over slice comparisons: arrays compare at C speed, so this beats a Python loop.
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
