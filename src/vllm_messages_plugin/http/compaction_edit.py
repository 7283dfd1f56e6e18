"""The edit `compact_20260112`: summarises a long conversation, and the reply goes on from the summary.

The reply has two parts in one message: the round that writes the summary, behind the tokens of the last turn,
and then the reply to the conversation that the summary has replaced.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from vllm_messages_plugin.http.blocking import call
from vllm_messages_plugin.http.compaction import compaction_deltas
from vllm_messages_plugin.http.generation import GenerationSettings, run_rounds, start_round
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.reading import PreparedRequest, translate
from vllm_messages_plugin.stream.deltas import (
    CompactionSummary,
    EngineDelta,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
    RoundUsage,
)
from vllm_messages_plugin.stream.sources import close
from vllm_messages_plugin.translate.compaction import CompactionEdit, compaction_edit, summary_request
from vllm_messages_plugin.translate.limits import prompt_too_long
from vllm_messages_plugin.wire.request import MessageParam, MessagesRequest

MIN_SUMMARY_TOKENS: Final = 4_096
"""How long a summary may be, however short the reply is to be."""


async def start_reply(
    prepared: PreparedRequest[MessagesRequest], context: AppContext, settings: GenerationSettings
) -> AsyncIterator[EngineDelta]:
    """Start the reply to a request, with a compaction before it where the request's edit asks for one.

    Args:
        prepared: The request.
        context: The app's context.
        settings: What all rounds have in common.

    Raises:
        MessagesError: A value of the edit makes no sense, or the engine refuses the request.
    """
    edit = compaction_edit(prepared.request, prepared.prompt.tokens, context.backend.window)
    if edit is not None:
        summary = await _summary_prompt(prepared, edit, context)
        if summary.prompt.tokens < context.backend.window:
            deltas = await start_round(summary, context, _summary_settings(settings, context))
            return _CompactedReply(prepared, context, settings, edit).deltas(deltas)
    return await _start_plain_reply(prepared, context, settings)


async def _start_plain_reply(
    prepared: PreparedRequest[MessagesRequest], context: AppContext, settings: GenerationSettings
) -> AsyncIterator[EngineDelta]:
    deltas = await start_round(prepared, context, settings)
    return run_rounds(prepared, context, settings, deltas) if prepared.server_tools else deltas


def _summary_settings(settings: GenerationSettings, context: AppContext) -> GenerationSettings:
    tokens = max(settings.max_tokens, MIN_SUMMARY_TOKENS)
    if context.backend.most_output is not None:
        tokens = min(tokens, context.backend.most_output)
    return replace(settings, max_tokens=tokens, request_id=f"{settings.request_id}-summary")


async def _summary_prompt(
    prepared: PreparedRequest[MessagesRequest], edit: CompactionEdit, context: AppContext
) -> PreparedRequest[MessagesRequest]:
    """The request whose reply is the summary."""
    return await _rendered(prepared, summary_request(prepared.request, edit.instructions), context)


async def _rendered(
    prepared: PreparedRequest[MessagesRequest], request: MessagesRequest, context: AppContext
) -> PreparedRequest[MessagesRequest]:
    conversation = await call(prepared.large, translate, request, context, prepared.server_tools)
    prompt = await context.backend.render(conversation, request.extra)
    return replace(prepared, request=request, conversation=conversation, prompt=prompt)


@dataclass(slots=True)
class _CompactedReply:
    """A reply that begins with the summary of its conversation."""

    prepared: PreparedRequest[MessagesRequest]
    context: AppContext
    settings: GenerationSettings
    edit: CompactionEdit

    async def deltas(self, summary: AsyncIterator[EngineDelta]) -> AsyncIterator[EngineDelta]:
        """Yield the compaction block, and the reply unless the request asks to pause before it.

        Args:
            summary: The deltas of the round that writes the summary. They are closed with this iterator.
        """
        part = compaction_deltas(summary, self.context.signer.sign)
        block: Mapping[str, Any] = {}
        usage: list[RoundUsage] = []
        try:
            async for delta in part:
                if isinstance(delta, CompactionSummary):
                    block = delta.block
                if isinstance(delta, ReplyFinished) and not self.edit.pause:
                    usage = list(delta.rounds)
                    break
                yield delta
                if isinstance(delta, ReplyFinished | ReplyFailed):
                    return
            await close(part)
            part = await self._reply(block)
            async for delta in _behind_summary(part, usage):
                yield delta
        finally:
            await close(part)

    async def _reply(self, block: Mapping[str, Any]) -> AsyncIterator[EngineDelta]:
        """Start the reply behind the block; to the whole conversation where the summary failed."""
        request = self.prepared.request
        following = self.prepared
        if block.get("content") is not None:
            reply = MessageParam.model_validate({"role": "assistant", "content": [dict(block)]})
            shortened = request.model_copy(update={"messages": [*request.messages, reply]})
            following = await _rendered(self.prepared, shortened, self.context)
        if (refusal := prompt_too_long(following.prompt.tokens, self.context.backend.window)) is not None:
            raise refusal
        return await _start_plain_reply(following, self.context, self.settings)


async def _behind_summary(
    deltas: AsyncIterator[EngineDelta], summary: list[RoundUsage]
) -> AsyncIterator[EngineDelta]:
    """The deltas of the reply without its beginning, with the usage of the summary at their end."""
    prompt = PromptProcessed(0, 0)
    async for delta in deltas:
        if isinstance(delta, PromptProcessed):
            prompt = delta
        elif isinstance(delta, ReplyFinished):
            rounds = delta.rounds or [RoundUsage(prompt, delta.output_tokens)]
            yield replace(delta, rounds=[*summary, *rounds])
        else:
            yield delta
