"""The events with which a reply and its calls begin and end, and the reason why a reply ended."""

from typing import Any, cast

from vllm_messages_plugin.stream.deltas import CompactionSummary, ReplyFinished
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.stream.streamed_call import StreamedCall
from vllm_messages_plugin.wire import events
from vllm_messages_plugin.wire.message import (
    CompactionBlock,
    Message,
    RefusalStopDetails,
    StopReason,
    ToolUseBlock,
    Usage,
)


def message_start(reply: ReplyContext, usage: Usage) -> events.MessageStartEvent:
    """Return the first event of a reply.

    Args:
        reply: What the events of the reply contain.
        usage: The usage that is known before the first output.
    """
    diagnostics: dict[str, Any] | None = None if reply.diagnostics is None else dict(reply.diagnostics)
    message: Message = {
        "id": reply.message_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": diagnostics,
        "usage": usage,
    }
    return {"type": "message_start", "message": message}


def compaction_block(summary: CompactionSummary) -> tuple[CompactionBlock, events.CompactionDelta]:
    """Return the block with which a summary begins, and its one delta, as Anthropic's documentation has them.

    Args:
        summary: The summary.
    """
    block = cast(CompactionBlock, dict(summary.block))
    content = block["content"]
    empty: CompactionBlock = {**block, "content": None, "encrypted_content": None}
    return empty, {"type": "compaction_delta", "content": content, "encrypted_content": None}


def tool_use_block(reply: ReplyContext, name: str) -> ToolUseBlock:
    """Return the block with which a call begins.

    Args:
        reply: What the events of the reply contain.
        name: The tool's name in the prompt; that of a toolset's member stands for the member.
    """
    block: ToolUseBlock = {
        "type": "tool_use",
        "id": reply.new_tool_id(),
        "name": name,
        "input": {},
        "caller": {"type": "direct"},
    }
    if name in reply.members:
        block["name"], block["toolset_name"] = reply.members[name]
    return block


def message_delta(
    reply: ReplyContext, usage: Usage, reason: StopReason, stop_sequence: str | None
) -> events.MessageDeltaEvent:
    """Return the event before the last one, which says how a reply ended.

    Args:
        reply: What the events of the reply contain.
        usage: The usage of the whole reply.
        reason: Why the reply ended.
        stop_sequence: The sequence that was found in the text; None without one.
    """
    refusal: RefusalStopDetails = {"type": "refusal", "category": None, "explanation": None}
    event: events.MessageDeltaEvent = {
        "type": "message_delta",
        "delta": {
            "stop_reason": reason,
            "stop_sequence": stop_sequence if reason == "stop_sequence" else None,
            "stop_details": refusal if reason == "refusal" else None,
            "container": None,
        },
        "usage": usage,
    }
    if reply.applied_edits is not None:
        event["context_management"] = {"applied_edits": [dict(edit) for edit in reply.applied_edits]}
    return event


def stop_reason(end: ReplyFinished, last: StreamedCall | None) -> StopReason:
    """Return the `stop_reason` of a reply.

    Args:
        end: How the engine ended it.
        last: The last call that became a block; None without one.
    """
    if end.reason in ("length", "incomplete_call"):
        return "max_tokens"  # of Anthropic's reasons the one whose last tool call clients take for cut
    if end.reason == "window":
        return "model_context_window_exceeded"
    if end.reason == "refusal":
        return "refusal"
    if end.reason == "pause":
        return "pause_turn"
    if end.reason == "compaction":
        return "compaction"
    if end.reason == "stop_sequence" and not (last is not None and last.progress.complete):
        return "stop_sequence"
    return "tool_use" if last is not None else "end_turn"
