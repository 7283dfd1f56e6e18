"""`POST /v1/messages`: from the body to the events, in the order a newcomer can follow.

body -> `wire.request` -> `translate.conversation` -> the engine's renderer -> the engine -> deltas ->
`stream.machine` -> `wire.sse`, or `stream.collect` where the reply is not streamed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.diagnostics import remember
from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.headers import betas, request_id_of
from vllm_messages_plugin.http.keep_alive import EventStream, Rhythm, unless_gone
from vllm_messages_plugin.http.ports import AppContext, app_context
from vllm_messages_plugin.http.reading import PreparedRequest, read
from vllm_messages_plugin.stream.collect import collect
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.reply import CachedLengths, ReplyContext
from vllm_messages_plugin.stream.run import events
from vllm_messages_plugin.translate.cache_breakpoints import cache_breakpoints
from vllm_messages_plugin.translate.limits import clamp_max_tokens, prompt_too_long
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.message import Message, new_id
from vllm_messages_plugin.wire.request import MessagesRequest
from vllm_messages_plugin.wire.sse import dump, frame

ADMISSION_SECONDS = 1.0
"""How long a stream's head waits for the engine to accept the request: what it refuses, it refuses at
once, and a refusal must be a status. A prompt that takes longer to read is answered with pings."""

COUNT_THINKING = "thinking-token-count-2026-05-13"
"""The beta under which each piece of thinking says how many tokens it was."""

router = APIRouter()


@router.post("/v1/messages", response_model=None)
async def create_message(request: Request) -> Response:
    """Answer a conversation, streamed or whole."""
    service, request_id = app_context(request), request_id_of(request)
    try:
        understood = await read(request, service, MessagesRequest)
        reply = await _reply(understood, service, request, request_id)
        deltas = await _begin(understood, service, reply, request)
        if understood.asked.stream:
            deltas = await _admitted(deltas, ADMISSION_SECONDS)
            rhythm = Rhythm(service.settings.first_ping_seconds, service.settings.ping_seconds)
            return EventStream(_frames(reply, deltas), rhythm, {"request-id": request_id})
        message = await unless_gone(_whole(reply, deltas), request.receive)
    except MessagesError as error:
        return error_response(error, request_id)
    return Response(dump(message), media_type="application/json", headers={"request-id": request_id})


async def _reply(
    understood: PreparedRequest[MessagesRequest], service: AppContext, request: Request, request_id: str
) -> ReplyContext:
    message_id = new_id("msg")
    return ReplyContext(
        model=understood.asked.model,
        request_id=request_id,
        message_id=message_id,
        sign=service.signer.sign,
        continues=understood.conversation.continues,
        show_thinking=understood.conversation.thinking.shown,
        count_thinking=COUNT_THINKING in betas(request),
        applied_edits=understood.applied_edits,
        diagnostics=_diagnosed(understood, service, message_id),
        marks=await _marks(understood, service),
        members=understood.conversation.members,
    )


async def _marks(understood: PreparedRequest[MessagesRequest], service: AppContext) -> CachedLengths:
    """How far the request's cache breakpoints reach into its prompt."""
    reach = {False: 0, True: 0}
    last = {mark.long: mark for mark in cache_breakpoints(understood.asked)}
    for long, mark in last.items():
        reach[long] = await service.backend.tokens_before(understood.prompt, mark.text)
    return CachedLengths(until_5m=reach[False], until_1h=reach[True])


def _diagnosed(
    understood: PreparedRequest[MessagesRequest], service: AppContext, message_id: str
) -> dict[str, Any] | None:
    """Where this prompt parts from an earlier one, for clients that ask; both are remembered."""
    asked, ids = understood.asked, understood.prompt.token_ids
    if asked.diagnostics is None or ids is None:
        return None
    now = remember(asked, understood.model, ids)
    reason = service.memory.reason(asked.diagnostics.previous_message_id, now)
    service.memory.put(message_id, now)
    return {"cache_miss_reason": reason}


async def _begin(
    understood: PreparedRequest[MessagesRequest], service: AppContext, reply: ReplyContext, request: Request
) -> AsyncIterator[EngineDelta]:
    """Hand the prompt to the engine, with a max_tokens that fits."""
    backend, prompt = service.backend, understood.prompt
    if (refusal := prompt_too_long(prompt.tokens, backend.window)) is not None:
        raise refusal
    asked = understood.asked.max_tokens
    if backend.most_output is not None:
        asked = min(asked, backend.most_output)
    return await backend.generate(
        prompt,
        understood.conversation,
        sampling(understood.asked, clamp_max_tokens(asked, prompt.tokens, backend.window)),
        request_id=reply.message_id,
        model=understood.model,
        headers=request.headers,
    )


async def _whole(reply: ReplyContext, deltas: AsyncIterator[EngineDelta]) -> Message:
    return await collect(events(reply, await _admitted(deltas, None)))


async def _admitted(deltas: AsyncIterator[EngineDelta], seconds: float | None) -> AsyncIterator[EngineDelta]:
    """The same deltas, once the engine has accepted the request or taken its time.

    Raises:
        MessagesError: the engine refused it.
    """
    first = asyncio.ensure_future(anext(deltas))
    try:
        await asyncio.wait({first}, timeout=seconds)
    except asyncio.CancelledError:
        first.cancel()
        raise
    if first.done():
        first.result()
    return _from(first, deltas)


async def _from(
    first: asyncio.Future[EngineDelta], rest: AsyncIterator[EngineDelta]
) -> AsyncIterator[EngineDelta]:
    try:
        yield await first
        async for delta in rest:
            yield delta
    finally:
        first.cancel()
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()


async def _frames(reply: ReplyContext, deltas: AsyncIterator[EngineDelta]) -> AsyncIterator[bytes]:
    async for together in events(reply, deltas):
        yield b"".join(map(frame, together))
