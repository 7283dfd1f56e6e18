"""Adds a note to the result of a tool call that the model keeps making.

Models sometimes repeat a call whose result does not change, and clients seldom stop them. The note stands
behind the result and tells the model so. It depends only on what comes before it in the conversation, so a
result has the same note in the prompts of all later turns, which the prefix cache needs.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from vllm_messages_plugin.wire.blocks import Block, TextBlockParam, ToolResultBlockParam, ToolUseBlockParam
from vllm_messages_plugin.wire.request import MessageParam, RequestT

FIRST_NOTED: Final = 4
"""How many times a call must have been made before its result gets a note."""
NOTE: Final = (
    "Note: the same call has now been made {} times with this same result. "
    "Do not repeat it: do something else, or give your answer."
)


@dataclass(slots=True)
class _Repetitions:
    """How often each call had the result that it had last."""

    frequent: frozenset[str]
    """The ids of the calls that are looked at."""
    calls: dict[str, bytes] = field(default_factory=dict)
    """The digest of each call by its id."""
    latest: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """By the digest of a call, the digest of its latest result, and how often that has come in a row."""

    def count(self, result: ToolResultBlockParam) -> int:
        """Count a result; return how often its call has had it in a row."""
        call = self.calls.get(result.tool_use_id)
        if call is None:
            return 1
        values = result.model_dump(mode="json", include={"content"}, exclude_none=True)
        content = _digest([bool(result.is_error), _without_breakpoints(values)])
        last, times = self.latest.get(call, (content, 0))
        times = times + 1 if last == content else 1
        self.latest[call] = content, times
        return times


def note_repeated_calls(request: RequestT) -> RequestT:
    """Add a note to each tool result that is at least the fourth in a row for an identical call.

    Calls are identical if their names and inputs are. A message of the user that brings no results begins
    anew.

    Args:
        request: The request; it is not changed.

    Returns:
        The request with the notes, or the same one if there are none.
    """
    frequent = _frequent_calls(request.messages)
    if not frequent:
        return request
    repetitions = _Repetitions(frequent)
    messages = [_noted(message, repetitions) for message in request.messages]
    if all(new is old for new, old in zip(messages, request.messages, strict=True)):
        return request
    return request.model_copy(update={"messages": messages})


def _frequent_calls(messages: Sequence[MessageParam]) -> frozenset[str]:
    """The ids of the calls of which there are enough that are alike; most conversations have none."""
    alike: dict[Hashable, list[str]] = {}
    for use in _uses(messages):
        alike.setdefault((use.name, _outline(use.input)), []).append(use.id)
    return frozenset(name for ids in alike.values() if len(ids) >= FIRST_NOTED for name in ids)


def _uses(messages: Sequence[MessageParam]) -> Iterable[ToolUseBlockParam]:
    for message in messages:
        if message.role == "assistant" and isinstance(message.content, list):
            yield from (block for block in message.content if isinstance(block, ToolUseBlockParam))


def _outline(values: Mapping[str, Any]) -> Hashable:
    """Something that is equal for equal inputs of calls, and quick to make: it leaves out what is nested."""
    return frozenset((key, value if isinstance(value, str | int) else None) for key, value in values.items())


def _noted(message: MessageParam, repetitions: _Repetitions) -> MessageParam:
    blocks = message.content if isinstance(message.content, list) else []
    if message.role == "assistant":
        for block in blocks:
            if isinstance(block, ToolUseBlockParam) and block.id in repetitions.frequent:
                repetitions.calls[block.id] = _digest([block.name, block.input])
        return message
    if message.role == "user" and not any(isinstance(block, ToolResultBlockParam) for block in blocks):
        repetitions.latest.clear()
        return message
    found = [_with_note(block, repetitions) for block in blocks]
    return message.model_copy(update={"content": found}) if _differ(found, blocks) else message


def _differ(found: Sequence[Block], blocks: Sequence[Block]) -> bool:
    return any(new is not old for new, old in zip(found, blocks, strict=True))


def _with_note(block: Block, repetitions: _Repetitions) -> Block:
    if not isinstance(block, ToolResultBlockParam):
        return block
    times = repetitions.count(block)
    if times < FIRST_NOTED:
        return block
    note = TextBlockParam(type="text", text=NOTE.format(times))
    content = block.content
    if isinstance(content, str):
        content = [TextBlockParam(type="text", text=content)]
    return block.model_copy(update={"content": [*(content or []), note]})


def _without_breakpoints(value: Any) -> Any:
    """A result's content without cache breakpoints, which clients move from turn to turn."""
    if isinstance(value, dict):
        return {key: _without_breakpoints(inner) for key, inner in value.items() if key != "cache_control"}
    return [_without_breakpoints(inner) for inner in value] if isinstance(value, list) else value


def _digest(values: Any) -> bytes:
    """A digest of JSON values, whatever the order of the keys in their objects."""
    encoded = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return blake2b(encoded.encode(), digest_size=16).digest()
