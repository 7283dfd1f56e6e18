"""The reply of a compaction: one signed `compaction` block in place of the model's text."""

from collections.abc import AsyncIterator, Callable

from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CompactionSummary,
    EngineDelta,
    EngineText,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
    RoundUsage,
)
from vllm_messages_plugin.stream.sources import close


async def compaction_deltas(
    deltas: AsyncIterator[EngineDelta], sign: Callable[[str], str]
) -> AsyncIterator[EngineDelta]:
    """Yield the deltas of a compaction from those of the model's summary.

    A summary that is empty or was cut by `max_tokens` gives a block with the `content` null, which says that
    the compaction failed; clients then keep their conversation.

    Args:
        deltas: The deltas of the generation.
        sign: Makes the signature of the summary.
    """
    texts: list[str] = []
    prompt = PromptProcessed(0, 0)
    try:
        async for delta in deltas:
            if isinstance(delta, EngineText | CitedText):
                texts.append(delta.text)
            elif isinstance(delta, PromptProcessed):
                prompt = delta
                yield delta
            elif isinstance(delta, ReplyFailed):
                yield delta
                return
            elif isinstance(delta, ReplyFinished):
                summary = "".join(texts).strip() if delta.reason == "stop" else ""
                yield CompactionSummary(_block(summary, sign))
                usage = RoundUsage(prompt, delta.output_tokens, "compaction")
                yield ReplyFinished("compaction", delta.output_tokens, delta.thinking_tokens, rounds=[usage])
                return
    finally:
        await close(deltas)


def _block(summary: str, sign: Callable[[str], str]) -> dict[str, object]:
    """The block, as in `anthropic.types.beta.BetaCompactionBlock`."""
    return {
        "type": "compaction",
        "content": summary or None,
        "encrypted_content": None,
        "signature": sign(summary) if summary else None,
        "tool_changes": [],
    }
