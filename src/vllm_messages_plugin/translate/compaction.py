"""On-demand compaction: turns a request with `compaction` into one whose reply is the summary.

The instruction stands behind the conversation, so the prompt begins with the tokens of the last turn and
the prefix cache holds them.
"""

from typing import Final

from vllm_messages_plugin.wire.blocks import ToolUseBlockParam
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.request import MessageParam, RequestT, ToolChoiceParam

INSTRUCTIONS: Final = (
    "Write a summary of this conversation. It will replace the conversation, so it must hold everything "
    "that is needed to go on: what was asked for, what was decided and why, what was done and found (with "
    "exact names, paths, values and error messages), what is still open, and what comes next. Write the "
    "summary alone, without an introduction, and call no tools."
)


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
    text = (request.compaction.instructions or "").strip() or INSTRUCTIONS
    update = {
        "messages": [*request.messages, MessageParam(role="user", content=text)],
        "tool_choice": ToolChoiceParam(type="none") if request.tools else None,
        "output_format": None,
        "output_config": request.output_config and request.output_config.model_copy(update={"format": None}),
    }
    return request.model_copy(update=update)


def _has_open_call(message: MessageParam) -> bool:
    blocks = message.content if isinstance(message.content, list) else []
    return message.role == "assistant" and any(isinstance(block, ToolUseBlockParam) for block in blocks)
