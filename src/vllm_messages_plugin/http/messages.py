"""`POST /v1/messages`: from the request body to the reply's events.

The route prepares the request (`reading`), hands the prompt to the engine, and turns the engine's deltas into
events (`stream.run`): written as they come (`wire.sse`), or collected into one message (`stream.collect`).
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from vllm_messages_plugin.access.priority import request_priority
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.http.blocking import call
from vllm_messages_plugin.http.compaction import compaction_deltas
from vllm_messages_plugin.http.compaction_edit import start_reply
from vllm_messages_plugin.http.diagnostics import record_prompt
from vllm_messages_plugin.http.generation import (
    GenerationSettings,
    direct_query,
    direct_search,
    start_round,
)
from vllm_messages_plugin.http.headers import beta_names, request_id_of
from vllm_messages_plugin.http.keep_alive import EventStream, PingIntervals, cancel_on_disconnect
from vllm_messages_plugin.http.openapi import request_body
from vllm_messages_plugin.http.ports import AppContext, app_context
from vllm_messages_plugin.http.reading import PreparedRequest, prepare
from vllm_messages_plugin.http.recorder import Recording
from vllm_messages_plugin.http.records import record_of
from vllm_messages_plugin.http.routing import DirectRoute
from vllm_messages_plugin.http.streamed_reply import StreamedReply
from vllm_messages_plugin.http.threads import ThreadReply
from vllm_messages_plugin.stream.collect import collect
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.reply import BreakpointLengths, ReplyContext
from vllm_messages_plugin.stream.run import ReplyEncoder, encoded_events
from vllm_messages_plugin.stream.sources import close
from vllm_messages_plugin.translate.cache_breakpoints import cache_breakpoints
from vllm_messages_plugin.translate.compaction import with_compaction
from vllm_messages_plugin.translate.limits import prompt_too_long
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.events import StreamEvent, TextDeltaType
from vllm_messages_plugin.wire.message import Message, new_id
from vllm_messages_plugin.wire.request import MessagesRequest
from vllm_messages_plugin.wire.sse import delta_frame, dump, frames

ADMISSION_SECONDS = 1.0
"""How long a stream waits for the engine's first delta before it sends status 200.

What the engine refuses, it refuses at once, and a refusal must be a status. After this time the stream opens,
and pings cover the time the engine takes to process the prompt.
"""

COUNT_THINKING_BETA = "thinking-token-count-2026-05-13"
"""The beta under which each thinking delta carries its number of tokens."""

Encoded = TypeVar("Encoded")

router = APIRouter(route_class=DirectRoute)


PATH = "/v1/messages"


@router.post(PATH, response_model=None, openapi_extra=request_body(PATH, MessagesRequest))
async def create_message(request: Request) -> Response:
    """Reply to a conversation, as an event stream or as one message."""
    return await reply_to(request)


async def reply_to(request: Request, *, in_batch: bool = False) -> Response:
    """Reply to a conversation.

    Args:
        request: The request, in which the body has not been read.
        in_batch: Whether it is an item of a batch, which has no stream and no message thread.

    Raises:
        MessagesError: The request can't be served.
        ClientDisconnect: The client closed the connection before the body was complete.
    """
    context, request_id = app_context(request), request_id_of(request)
    prepared = await prepare(request, context, MessagesRequest, in_thread=not in_batch)
    if prepared.request.stream and in_batch:
        raise invalid("Streaming is not supported in a batch", "stream")
    if (refusal := prompt_too_long(prepared.prompt.tokens, context.backend.window)) is not None:
        raise refusal
    reply = await _reply_context(prepared, context, request, request_id)
    observers = _Observers(record_of(request), await _recording(prepared, context, reply))
    if prepared.thread is None or context.storage is None:
        return await _reply(prepared, context, reply, request, observers)
    thread = observers.thread = ThreadReply(context.storage.threads, prepared.thread)
    await thread.claim()
    response: Response | None = None
    try:
        response = await _reply(prepared, context, reply, request, observers)
        return response
    finally:
        if not isinstance(response, EventStream):  # whose events release the thread at their end
            await thread.release()


async def _reply(
    prepared: PreparedRequest[MessagesRequest],
    context: AppContext,
    reply: ReplyContext,
    request: Request,
    observers: "_Observers",
) -> Response:
    deltas = await _start_generation(prepared, context, reply, request, observers.recording)
    if prepared.request.stream:
        encoder = ReplyEncoder(reply, observers.encoder(frames), observers.delta_encoder())
        streamed = StreamedReply(deltas, encoder, observers)
        await streamed.admitted(ADMISSION_SECONDS)
        intervals = PingIntervals(context.settings.first_ping_seconds, context.settings.ping_seconds)
        return EventStream(streamed, intervals, reply.request_id, context.admission.engine_stopped)
    work = _collect_message(reply, deltas, observers)
    message = await cancel_on_disconnect(work, request.receive, context.admission.engine_stopped)
    return Response(dump(message), media_type="application/json", headers={"request-id": reply.request_id})


@dataclass(slots=True)
class _Observers:
    """What sees the events of a reply before its client does."""

    record: RequestRecord
    recording: Recording | None
    thread: ThreadReply | None = None

    def encoder(
        self, encode: Callable[[list[StreamEvent]], Encoded]
    ) -> Callable[[list[StreamEvent]], Encoded]:
        """An encoder of events that shows them to all observers first."""
        observers = [each.observe for each in (self.record, self.recording, self.thread) if each is not None]

        def observed(batch: list[StreamEvent]) -> Encoded:
            for observe in observers:
                observe(batch)
            return encode(batch)

        return observed

    def delta_encoder(self) -> Callable[[int, TextDeltaType, str], bytes] | None:
        """An encoder of deltas that are sent alone; None if an observer wants to see their events."""
        if self.recording is not None or self.thread is not None:
            return None
        record = self.record

        def counted(index: int, kind: TextDeltaType, text: str) -> bytes:
            record.output_tokens += 1
            return delta_frame(index, kind, text)

        return counted

    async def before_last(self) -> None:
        """Store the reply in its thread."""
        if self.thread is not None:
            await self.thread.store()

    async def ended(self) -> None:
        """Write the record, and release the thread."""
        if self.recording is not None:
            self.recording.write()
        if self.thread is not None:
            await self.thread.release()


async def _reply_context(
    prepared: PreparedRequest[MessagesRequest], context: AppContext, request: Request, request_id: str
) -> ReplyContext:
    message_id = new_id("msg")
    return ReplyContext(
        model=prepared.request.model,
        request_id=request_id,
        message_id=message_id,
        sign=context.signer.sign,
        continues=prepared.conversation.continues,
        show_thinking=prepared.conversation.thinking.shown,
        count_thinking=COUNT_THINKING_BETA in beta_names(request),
        applied_edits=prepared.applied_edits,
        diagnostics=await _diagnostics(prepared, context, message_id),
        breakpoints=await _breakpoint_lengths(prepared, context),
        members=prepared.conversation.members,
    )


async def _breakpoint_lengths(
    prepared: PreparedRequest[MessagesRequest], context: AppContext
) -> BreakpointLengths:
    """How many tokens of the prompt the request's cache breakpoints cover, by lifetime."""
    covered = {False: 0, True: 0}
    breakpoints = await call(prepared.large, cache_breakpoints, prepared.request)
    last_by_lifetime = {breakpoint_.long: breakpoint_ for breakpoint_ in breakpoints}
    for long, last in last_by_lifetime.items():
        covered[long] = await context.backend.tokens_before(prepared.prompt, last.text)
    return BreakpointLengths(until_5m=covered[False], until_1h=covered[True])


async def _diagnostics(
    prepared: PreparedRequest[MessagesRequest], context: AppContext, message_id: str
) -> dict[str, Any] | None:
    """The reply's `diagnostics`, for clients that send the field; records the prompt for later requests."""
    request, token_ids = prepared.request, prepared.prompt.token_ids
    if request.diagnostics is None or token_ids is None:
        return None
    current = await call(prepared.large, record_prompt, request, prepared.model, token_ids)
    reason = context.prompt_history.cache_miss_reason(request.diagnostics.previous_message_id, current)
    context.prompt_history.add(message_id, current)
    return {"cache_miss_reason": reason}


async def _start_generation(
    prepared: PreparedRequest[MessagesRequest],
    context: AppContext,
    reply: ReplyContext,
    request: Request,
    recording: Recording | None,
) -> AsyncIterator[EngineDelta]:
    """Hand the prompt to the engine, with `max_tokens` lowered to what the window and the operator allow."""
    if (query := direct_query(prepared.request, prepared.server_tools)) is not None:
        return direct_search(query, prepared.server_tools)
    backend = context.backend
    max_tokens = prepared.request.max_tokens
    if backend.most_output is not None:
        max_tokens = min(max_tokens, backend.most_output)
    on_output = None if recording is None else recording.add_output
    record = record_of(request)
    priority = 0
    if context.settings.priority:
        has_tools = bool(prepared.request.tools)
        field = prepared.request.extra.get("priority")
        priority = request_priority(record.caller, request.headers, has_tools=has_tools, field=field)
    record.stream, record.asked_tokens = bool(prepared.request.stream), prepared.request.max_tokens
    record.clamped = backend.window - prepared.prompt.tokens < prepared.request.max_tokens
    headers = {
        **dict(reversed(request.headers.items())),
        **record.trace_headers,
    }  # the first of a name counts
    run = GenerationSettings(max_tokens, reply.message_id, headers, on_output, record, priority)
    if prepared.request.compaction is not None:
        summary = replace(prepared, request=with_compaction(prepared.request))
        return compaction_deltas(await start_round(summary, context, run), context.signer.sign)
    return await start_reply(prepared, context, run)


async def _recording(
    prepared: PreparedRequest[MessagesRequest], context: AppContext, reply: ReplyContext
) -> Recording | None:
    """The record of this request, on a server that keeps records."""
    if context.recorder is None:
        return None
    conversation, prompt = prepared.conversation, prepared.prompt
    fields = {
        "prompt": getattr(prompt, "text", None),
        "format": context.backend.call_format(conversation),
        "tools": [dict(tool) for tool in conversation.callable_tools],
        "thinking_open": getattr(prompt, "thinking_state", None) == "open",
    }
    body = await call(prepared.large, json.loads, prepared.body)
    return Recording(context.recorder, reply.message_id, body, fields)


async def _collect_message(
    reply: ReplyContext,
    deltas: AsyncIterator[EngineDelta],
    observers: _Observers,
) -> Message:
    admitted = await _first_awaited(deltas)
    try:
        message = await collect(encoded_events(reply, admitted, observers.encoder(_keep_events)))
        await observers.before_last()
        return message
    except MessagesError as error:
        error.logged = True  # by `encoded_events`, with the traceback of its cause
        raise
    finally:
        await observers.ended()


def _keep_events(events: list[StreamEvent]) -> list[StreamEvent]:
    return events


async def _first_awaited(deltas: AsyncIterator[EngineDelta]) -> AsyncIterator[EngineDelta]:
    """Wait for the first delta and return all deltas, the first included.

    Raises:
        MessagesError: The engine refused the request.
    """
    return _prepended(await anext(deltas), deltas)


async def _prepended(first: EngineDelta, rest: AsyncIterator[EngineDelta]) -> AsyncIterator[EngineDelta]:
    try:
        yield first
        async for delta in rest:
            yield delta
    finally:
        await close(rest)
