"""`POST /v1/messages`: from the body to the events, in the order a newcomer can follow.

body -> `wire.request` -> `translate.conversation` -> the engine's renderer -> the engine -> deltas ->
`stream.machine` -> `wire.sse`, or `stream.collect` where the reply is not streamed.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.keep_alive import EventStream, Rhythm, unless_gone
from vllm_messages_plugin.http.ports import Service, service_of
from vllm_messages_plugin.http.reading import Read, read
from vllm_messages_plugin.stream.collect import collect
from vllm_messages_plugin.stream.deltas import Delta
from vllm_messages_plugin.stream.machine import Reply
from vllm_messages_plugin.stream.run import events
from vllm_messages_plugin.translate.limits import clamp_max_tokens, prompt_too_long
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.message import Message
from vllm_messages_plugin.wire.request import MessagesRequest
from vllm_messages_plugin.wire.sse import dump, frame

ADMISSION_SECONDS = 1.0
"""How long a stream's head waits for the engine to accept the request: what it refuses, it refuses at
once, and a refusal must be a status. A prompt that takes longer to read is answered with pings."""

router = APIRouter()


@router.post("/v1/messages", response_model=None)
async def create_message(request: Request) -> Response:
    """Answer a conversation, streamed or whole."""
    service, request_id = service_of(request), request_id_of(request)
    try:
        understood = await read(request, service, MessagesRequest)
        reply = _reply(understood, service, request_id)
        deltas = await _begin(understood, service, reply, request)
        if understood.asked.stream:
            deltas = await _admitted(deltas, ADMISSION_SECONDS)
            rhythm = Rhythm(service.settings.first_ping_seconds, service.settings.ping_seconds)
            return EventStream(_frames(reply, deltas), rhythm, {"request-id": request_id})
        message = await unless_gone(_whole(reply, deltas), request.receive)
    except MessagesError as error:
        return error_response(error, request_id)
    return Response(dump(message), media_type="application/json", headers={"request-id": request_id})


def _reply(understood: Read[MessagesRequest], service: Service, request_id: str) -> Reply:
    return Reply(
        model=understood.asked.model,
        request_id=request_id,
        sign=service.signer.sign,
        continues=understood.conversation.continues,
        show_thinking=understood.conversation.thinking.shown,
    )


async def _begin(
    understood: Read[MessagesRequest], service: Service, reply: Reply, request: Request
) -> AsyncIterator[Delta]:
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


async def _whole(reply: Reply, deltas: AsyncIterator[Delta]) -> Message:
    return await collect(events(reply, await _admitted(deltas, None)))


async def _admitted(deltas: AsyncIterator[Delta], seconds: float | None) -> AsyncIterator[Delta]:
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


async def _from(first: asyncio.Future[Delta], rest: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
    try:
        yield await first
        async for delta in rest:
            yield delta
    finally:
        first.cancel()


async def _frames(reply: Reply, deltas: AsyncIterator[Delta]) -> AsyncIterator[bytes]:
    async for together in events(reply, deltas):
        yield b"".join(map(frame, together))
