"""Context edits: they remove old tool results and old thinking from a long conversation.

An edit is planned from the conversation and its number of tokens, and applied by the caller, who knows how
many tokens it clears. The rules are those of `anthropic.types.beta.BetaContextManagementConfigParam`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vllm_messages_plugin.wire.blocks import (
    Block,
    ThinkingBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import CountTokensRequest, MessageParam

CLEARED_RESULT = "[Old tool result content cleared]"
CLEAR_TOOL_USES = "clear_tool_uses_20250919"
CLEAR_THINKING = "clear_thinking_20251015"

DEFAULT_TRIGGER = 100_000  # input tokens from which on tool uses are cleared
DEFAULT_KEPT_USES = 3
DEFAULT_KEPT_THINKING = 1  # turns

Request = TypeVar("Request", bound=CountTokensRequest)


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """An edit that would change something.

    `counts` names and counts what it clears, in the words of the reply. It is not applied where it would
    clear fewer than `at_least` tokens.
    """

    kind: str
    counts: Mapping[str, int]
    messages: Sequence[MessageParam]
    at_least: int = 0


def requested_edits(request: CountTokensRequest) -> list[tuple[str, Mapping[str, Any]]]:
    """The known edits that a request asks for, in its order, each with its JSON path.

    Raises:
        MessagesError: 400, two edits have the same type: each would cost a rendering of the whole prompt.
    """
    edits = request.context_management.edits if request.context_management else []
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for position, edit in enumerate(edits):
        path = f"context_management.edits.{position}"
        if edit.type in found:
            raise invalid(f"only one edit of type '{edit.type}' is allowed", path)
        found[edit.type] = (path, edit.model_dump())
    return [(path, edit) for path, edit in found.values() if edit["type"] in _EDITS]


def plan_edit(
    path: str, edit: Mapping[str, Any], messages: Sequence[MessageParam], tokens: int
) -> PlannedEdit | None:
    """What one edit makes of a conversation; None where it changes nothing.

    Args:
        path: The JSON path of the edit, for errors.
        edit: The edit as `requested_edits` returned it.
        messages: The conversation.
        tokens: Its input tokens.

    Raises:
        MessagesError: 400, a value of the edit makes no sense.
    """
    return _EDITS[str(edit["type"])](path, edit, messages, tokens)


def apply_edit(request: Request, edit: PlannedEdit) -> Request:
    """The request with the edit applied."""
    return request.model_copy(update={"messages": list(edit.messages)})


def _amount(path: str, value: Any, kinds: Sequence[str], default: tuple[str, int]) -> tuple[str, int]:
    """A `{"type", "value"}` pair such as a trigger."""
    if value is None:
        return default
    if not isinstance(value, Mapping) or value.get("type") not in kinds:
        raise invalid(f"Input should have a type of {' or '.join(kinds)}", path)
    number = value.get("value")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise invalid("Input should be a whole number, 0 or more", f"{path}.value")
    return str(value["type"]), number


def _names(path: str, value: Any) -> set[str]:
    """The names of tools in a list that may be absent."""
    if value is None:
        return set()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise invalid("Input should be a list of tool names", path)
    return set(value)


def _clear_tool_uses(
    path: str, edit: Mapping[str, Any], messages: Sequence[MessageParam], tokens: int
) -> PlannedEdit | None:
    uses = [block for block in _blocks(messages) if isinstance(block, ToolUseBlockParam)]
    kinds = ("input_tokens", "tool_uses")
    kind, limit = _amount(f"{path}.trigger", edit.get("trigger"), kinds, ("input_tokens", DEFAULT_TRIGGER))
    _, kept = _amount(f"{path}.keep", edit.get("keep"), ("tool_uses",), ("tool_uses", DEFAULT_KEPT_USES))
    at_least = _amount(f"{path}.clear_at_least", edit.get("clear_at_least"), kinds[:1], ("", 0))[1]
    excluded = _names(f"{path}.exclude_tools", edit.get("exclude_tools"))
    inputs = _inputs(f"{path}.clear_tool_inputs", edit.get("clear_tool_inputs"), uses)
    if (tokens if kind == "input_tokens" else len(uses)) <= limit:
        return None
    old = uses[: len(uses) - kept] if kept else uses
    cleared = {use.id for use in old if use.name not in excluded}
    if not cleared:
        return None
    emptied = inputs & cleared
    changed = [
        _mapped(message, lambda block: _without_result(block, cleared, emptied)) for message in messages
    ]
    return PlannedEdit(CLEAR_TOOL_USES, {"cleared_tool_uses": len(cleared)}, changed, at_least)


def _inputs(path: str, value: Any, uses: Sequence[ToolUseBlockParam]) -> set[str]:
    """The ids of the calls whose inputs go too: of all, of none, or of the tools named."""
    if isinstance(value, bool):
        return {use.id for use in uses} if value else set()
    names = _names(path, value)
    return {use.id for use in uses if use.name in names}


def _without_result(block: Block, cleared: set[str], inputs: set[str]) -> Block:
    if isinstance(block, ToolResultBlockParam) and block.tool_use_id in cleared:
        return block.model_copy(update={"content": CLEARED_RESULT})
    if isinstance(block, ToolUseBlockParam) and block.id in inputs:
        return block.model_copy(update={"input": {}})
    return block


def _clear_thinking(
    path: str, edit: Mapping[str, Any], messages: Sequence[MessageParam], _tokens: int
) -> PlannedEdit | None:
    keep = edit.get("keep")
    if keep == "all" or (isinstance(keep, Mapping) and keep.get("type") == "all"):
        return None
    default = ("thinking_turns", DEFAULT_KEPT_THINKING)
    _, kept = _amount(f"{path}.keep", keep, ("thinking_turns",), default)
    thinking = [n for n, message in enumerate(messages) if _has_thinking(message)]
    old = set(thinking[: len(thinking) - kept] if kept else thinking)
    if not old:
        return None
    changed = [_without_thinking(message) if n in old else message for n, message in enumerate(messages)]
    return PlannedEdit(CLEAR_THINKING, {"cleared_thinking_turns": len(old)}, changed)


def _has_thinking(message: MessageParam) -> bool:
    return any(isinstance(block, ThinkingBlockParam) for block in _blocks([message]))


def _without_thinking(message: MessageParam) -> MessageParam:
    content = [block for block in _blocks([message]) if not isinstance(block, ThinkingBlockParam)]
    return message.model_copy(update={"content": content})


def _blocks(messages: Sequence[MessageParam]) -> list[Block]:
    return [block for message in messages if isinstance(message.content, list) for block in message.content]


def _mapped(message: MessageParam, change: Any) -> MessageParam:
    if not isinstance(message.content, list):
        return message
    return message.model_copy(update={"content": [change(block) for block in message.content]})


_EDITS = {CLEAR_TOOL_USES: _clear_tool_uses, CLEAR_THINKING: _clear_thinking}
