"""Compaction: turns a request into one whose reply is a summary of its conversation.

A request asks for it on demand (`compaction`), or for a conversation that has become long (the edit
`compact_20260112`). The instruction stands behind the conversation, so the prompt begins with the tokens of
the last turn and the prefix cache holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.wire.blocks import ToolUseBlockParam
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import (
    CountTokensRequest,
    MessageParam,
    MessagesRequest,
    RequestT,
    ToolChoiceParam,
)

COMPACT: Final = "compact_20260112"
DEFAULT_TRIGGER: Final = 150_000
"""Input tokens above which a conversation is compacted, unless the request or the window says less."""

INSTRUCTIONS: Final = (
    "Write a summary of this conversation. It will replace the conversation, so it must hold everything "
    "that is needed to go on: what was asked for (the user's last request word for word), what was decided "
    "and why, what was done and found (with exact names, paths, values and error messages), what is still "
    "open, and what comes next. Write the "
    "summary alone, without an introduction, and call no tools."
)


@dataclass(frozen=True, slots=True)
class CompactionEdit:
    """A compaction that a conversation has become long enough for.

    Attributes:
        instructions: What the summary is to be like; None for the server's own.
        pause: Whether the reply ends behind the summary.
    """

    instructions: str | None = None
    pause: bool = False


def compaction_edit(request: CountTokensRequest, tokens: int, window: int) -> CompactionEdit | None:
    """Return the compaction that a request asks for; None where it asks for none or is below its trigger.

    A conversation that ends with the assistant's turn is never compacted: the turn is to be continued.

    Args:
        request: The request.
        tokens: The length of its prompt.
        window: The context window. Without a trigger, three quarters of it count, at most `DEFAULT_TRIGGER`.

    Raises:
        MessagesError: 400, a value of the edit makes no sense.
    """
    edits = request.context_management.edits if request.context_management else []
    found = next(((n, edit) for n, edit in enumerate(edits) if edit.type == COMPACT), None)
    if found is None:
        return None
    place, edit = found
    path, fields = f"context_management.edits.{place}", edit.model_extra or {}
    trigger = _trigger(fields.get("trigger"), f"{path}.trigger", min(DEFAULT_TRIGGER, window * 3 // 4))
    instructions, pause = fields.get("instructions"), fields.get("pause_after_compaction")
    if not isinstance(instructions, str | None):
        raise invalid("Input should be a string", f"{path}.instructions")
    if not isinstance(pause, bool | None):
        raise invalid("Input should be true or false", f"{path}.pause_after_compaction")
    if tokens <= trigger or request.messages[-1].role == "assistant":
        return None
    return CompactionEdit(instructions, bool(pause))


def _trigger(value: Any, path: str, default: int) -> int:
    """The number of input tokens above which a conversation is compacted."""
    if value is None:
        return default
    if not isinstance(value, Mapping) or value.get("type") != "input_tokens":
        raise invalid("Input should have the type input_tokens", path)
    number = value.get("value")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise invalid("Input should be a whole number above 0", f"{path}.value")
    return number


def with_compaction(request: RequestT) -> RequestT:
    """Return the request whose reply is the summary that a request with `compaction` asks for.

    Args:
        request: The request; one without `compaction` is returned as it is.

    Raises:
        MessagesError: 400, the conversation can't be summarised as it stands.
    """
    if request.compaction is None:
        return request
    if request.context_management is not None and request.context_management.edits:
        raise invalid("can't be used together with context_management", "compaction")
    if _has_open_call(request.messages[-1]):
        raise MessagesError(
            "invalid_request_error",
            "the last turn has tool calls without results",
            param="compaction",
            details={"error_code": "compaction_incomplete_turn"},
        )
    return summary_request(request, request.compaction.instructions)


def summary_request(request: RequestT, instructions: str | None) -> RequestT:
    """Return the request whose reply is the summary of a request's conversation.

    Stop sequences are for the reply's text. A summary that one of them cut would be no summary.

    Args:
        request: The request.
        instructions: What the summary is to be like; None or blank for `INSTRUCTIONS`.
    """
    text = (instructions or "").strip() or INSTRUCTIONS
    update: dict[str, Any] = {
        "messages": [*request.messages, MessageParam(role="user", content=text)],
        "tool_choice": ToolChoiceParam(type="none") if request.tools else None,
        "output_format": None,
        "output_config": request.output_config and request.output_config.model_copy(update={"format": None}),
    }
    if isinstance(request, MessagesRequest):
        update["stop_sequences"] = None
    return request.model_copy(update=update)


def _has_open_call(message: MessageParam) -> bool:
    blocks = message.content if isinstance(message.content, list) else []
    return message.role == "assistant" and any(isinstance(block, ToolUseBlockParam) for block in blocks)
