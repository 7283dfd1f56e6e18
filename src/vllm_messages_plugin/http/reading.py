"""From a request body to a rendered prompt, for messages and count_tokens alike.

Everything that can be refused before generation is refused here, before the first byte of the reply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from vllm_messages_plugin.http.access_control import caller_of
from vllm_messages_plugin.http.blocking import call
from vllm_messages_plugin.http.body import BodyLimits, MiB, read_body, too_large
from vllm_messages_plugin.http.collector_pause import pause_for
from vllm_messages_plugin.http.file_sources import with_file_sources
from vllm_messages_plugin.http.gradual_release import begin_hold, hold_parts
from vllm_messages_plugin.http.headers import beta_names
from vllm_messages_plugin.http.json_size import check_json_size
from vllm_messages_plugin.http.keep_alive import cancel_on_disconnect
from vllm_messages_plugin.http.owner import owner_of
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.records import record_of
from vllm_messages_plugin.http.threads import NOT_HERE, ThreadRequest, read_thread
from vllm_messages_plugin.media.visitor import media_blocks
from vllm_messages_plugin.rounds.server_tool import McpTools, ServerTool
from vllm_messages_plugin.translate.compaction import with_compaction
from vllm_messages_plugin.translate.context_edits import PlannedEdit, apply_edit, plan_edit, requested_edits
from vllm_messages_plugin.translate.conversation import Conversation, translate_request
from vllm_messages_plugin.translate.model_names import resolve
from vllm_messages_plugin.translate.repeated_calls import note_repeated_calls
from vllm_messages_plugin.translate.server_tools import (
    with_functions,
    with_mcp_names,
    with_separate_results,
)
from vllm_messages_plugin.translate.tools.offered_functions import deferred_functions
from vllm_messages_plugin.wire.errors import MessagesError, invalid
from vllm_messages_plugin.wire.mcp import MCP_TOOLSET
from vllm_messages_plugin.wire.request import RequestT, ToolParam, parse
from vllm_messages_plugin.wire.threads import unsupported

LARGE_BODY_BYTES = 64 * 1024
LARGE_BODY_OBJECTS = 256
"""A body above either is parsed and translated in a thread, so that the event loop is not blocked.

Below both, parsing and translation together take a few milliseconds.
"""
COUNTED_INLINE_BYTES = 256 * 1024
"""The values of a body up to this size are counted in less time than a thread takes to begin."""


@dataclass(frozen=True, slots=True)
class PreparedRequest(Generic[RequestT]):
    """A request that was parsed, translated and rendered.

    Attributes:
        request: The typed body, after its context edits.
        model: The served model that replies.
        conversation: The translated request.
        prompt: The rendered prompt; only the engine looks inside.
        original_tokens: The prompt's length before the context edits.
        applied_edits: The edits that changed something; None if the request has no `context_management`.
        large: Whether work in proportion to the request must be done in a thread.
        server_tools: The tools of the request that this server runs, by their place in `tools`.
        body: The body as it came, where requests are recorded; else empty.
        listings: The tool listings that the reply begins with.
        thread: What it adds to a message thread; None outside of one.
    """

    request: RequestT
    model: str
    conversation: Conversation
    prompt: Any
    original_tokens: int
    applied_edits: tuple[Mapping[str, Any], ...] | None
    large: bool
    server_tools: Mapping[int, ServerTool] = field(default_factory=dict)
    body: bytes = b""
    listings: Sequence[Mapping[str, Any]] = ()
    thread: ThreadRequest | None = None


@dataclass(frozen=True, slots=True)
class _ParsedBody(Generic[RequestT]):
    """A body and what it says. Work in proportion to a large one is done in a thread of the interpreter.

    Attributes:
        body: The body as it came.
        request: What it says.
        large: Whether its work is done in a thread.
        noted: The request with notes on repeated calls, where they are switched on.
        has_media: Whether it has images or documents.
    """

    body: bytes
    request: RequestT
    large: bool
    noted: RequestT
    has_media: bool


async def prepare(
    http_request: Request, context: AppContext, body_type: type[RequestT], *, in_thread: bool = False
) -> PreparedRequest[RequestT]:
    """Parse, translate and render a request, and apply its context edits.

    Args:
        http_request: The request as it came in.
        context: The app's context.
        body_type: The class to parse the body as.
        in_thread: Whether it may be a request of a message thread.

    Raises:
        MessagesError: The request can't be served.
    """
    settings, scope = context.settings, http_request.scope
    limits = BodyLimits(settings.max_body_mb * MiB, grace_seconds=settings.slow_request_seconds)
    parsed_body = await _parse_body(await read_body(http_request, limits), body_type, context, scope)
    thread = None
    if parsed_body.request.thread is not None:
        if not in_thread:
            raise unsupported(NOT_HERE)
        thread, parsed_body = await _whole_conversation(http_request, context, parsed_body)
    body, parsed, large = parsed_body.body, parsed_body.noted, parsed_body.large
    model = await served_model_name(parsed.model, context)
    key = caller_of(http_request).key
    if key is not None and not (key.allows(model) or key.allows(parsed.model)):
        raise MessagesError("not_found_error", f"model: {parsed.model}")
    record_of(http_request).model = model
    request = parsed
    if parsed_body.has_media:
        request = await _read_media(http_request, parsed, context, large)
    large = large or request is not parsed
    connected = await _connect(http_request, request, context)
    large, request = large or bool(connected.tools), connected.request
    tools, conversation = await call(large, _with_tools, connected, context, scope)
    prompt = await context.backend.render(conversation, request.extra)
    kept = body if context.recorder is not None else b""
    prepared = PreparedRequest(
        request,
        model,
        conversation,
        prompt,
        prompt.tokens,
        None,
        large,
        tools,
        kept,
        connected.listings,
        thread,
    )
    return prepared if request.context_management is None else await _apply_edits(prepared, context, scope)


async def _parse_body(
    body: bytes, body_type: type[RequestT], context: AppContext, scope: Scope
) -> _ParsedBody[RequestT]:
    objects = await call(len(body) > COUNTED_INLINE_BYTES, check_json_size, body)
    large = len(body) > LARGE_BODY_BYTES or objects > LARGE_BODY_OBJECTS
    pause_for(objects, scope)
    begin_hold(objects, scope)
    return await call(large, _parse, body, body_type, large, context, scope)


async def _whole_conversation(
    http_request: Request, context: AppContext, sent: _ParsedBody[RequestT]
) -> tuple[ThreadRequest, _ParsedBody[RequestT]]:
    """The thread of a request, and the request with the whole conversation."""
    thread, whole = await read_thread(http_request, context, sent.body, sent.request, sent.large)
    if thread.continued is None:
        return thread, sent
    limit = context.settings.max_body_mb * MiB
    if len(whole) > limit:
        raise too_large(limit)
    return thread, await _parse_body(whole, type(sent.request), context, http_request.scope)


async def _read_media(http_request: Request, request: RequestT, context: AppContext, large: bool) -> RequestT:
    """Read the images and documents of a request while its client stays connected.

    Raises:
        ClientDisconnect: The client closed the connection.
    """
    work = _read_sources(request, context, owner_of(http_request), large)
    read = await cancel_on_disconnect(work, http_request.receive)
    if read is None:
        raise ClientDisconnect
    return read


async def _read_sources(request: RequestT, context: AppContext, owner: str, large: bool) -> RequestT:
    request = await with_file_sources(request, context, owner, large)
    return await context.media.read(request, images=context.backend.traits.images, large=large)


def _parse(
    body: bytes, body_type: type[RequestT], large: bool, context: AppContext, scope: Scope
) -> _ParsedBody[RequestT]:
    request = parse(body, body_type)
    hold_parts(scope, request.messages, request.tools)
    noted = note_repeated_calls(request) if context.settings.note_repeated_calls else request
    return _ParsedBody(body, request, large, noted, bool(media_blocks(noted.messages)))


async def _connect(http_request: Request, request: RequestT, context: AppContext) -> McpTools[RequestT]:
    """Put the tools of the request's MCP servers in the place of its toolsets, while its client stays.

    Raises:
        ClientDisconnect: The client closed the connection.
        MessagesError: 400, the servers may not or can't be asked.
    """
    if not request.mcp_servers and not any(_needs_a_server(tool) for tool in request.tools or ()):
        return McpTools(request)
    if context.server_tools is None:
        if request.mcp_servers:
            raise invalid("this server connects no MCP servers", "mcp_servers")
        return McpTools(request)
    work = context.server_tools.connect(request, beta_names(http_request))
    connected = await cancel_on_disconnect(work, http_request.receive)
    if connected is None:
        raise ClientDisconnect
    return connected


def _needs_a_server(tool: ToolParam) -> bool:
    """Whether another server must be asked before a tool can be offered."""
    return tool.type == MCP_TOOLSET or (tool.type or "").startswith("code_execution_")


def _server_tools(connected: McpTools[RequestT], context: AppContext) -> Mapping[int, ServerTool]:
    tools = connected.request.tools
    if not tools or context.server_tools is None:
        return {}
    return context.server_tools.for_request(connected.request, deferred_functions(tools), connected.tools)


def _with_tools(
    connected: McpTools[RequestT], context: AppContext, scope: Scope
) -> tuple[Mapping[int, ServerTool], Conversation]:
    """The tools that this server runs, and the translated request."""
    tools = _server_tools(connected, context)
    return tools, _translate_held(connected.request, context, tools, scope)


def translate(request: RequestT, context: AppContext, tools: Mapping[int, ServerTool]) -> Conversation:
    """Translate a request whose media has been read.

    Args:
        request: The request.
        context: The app's context.
        tools: Those of its tools that this server runs.

    Raises:
        MessagesError: 400, the request can't be served; names the field.
    """
    request = with_compaction(request)
    if context.server_tools is not None:
        definitions = {place: tool.definition for place, tool in tools.items() if tool.definition is not None}
        request = with_functions(request, definitions)
        names = {(tool.mcp.server, tool.mcp.tool): tool.name for tool in tools.values() if tool.mcp}
        request = with_mcp_names(request, names)
        request = with_separate_results(request, context.server_tools.readers)
    return translate_request(
        request, context.backend.traits, context.signer.restore, context.settings.default_thinking
    )


def _translate_held(
    request: RequestT, context: AppContext, tools: Mapping[int, ServerTool], scope: Scope
) -> Conversation:
    """`translate`; the parts of a large conversation are kept, to be freed gradually."""
    conversation = translate(request, context, tools)
    hold_parts(scope, conversation.messages, conversation.tools)
    return conversation


async def _apply_edits(
    prepared: PreparedRequest[RequestT], context: AppContext, scope: Scope
) -> PreparedRequest[RequestT]:
    """Apply those context edits that change the prompt by at least their `clear_at_least` tokens."""
    applied: list[Mapping[str, Any]] = []
    for path, requested_edit in requested_edits(prepared.request):
        planned = await call(
            prepared.large, _plan_and_translate, path, requested_edit, prepared, context, scope
        )
        if planned is None:
            continue
        edit, request, conversation = planned
        prompt = await context.backend.render(conversation, request.extra)
        cleared = prepared.prompt.tokens - prompt.tokens
        if cleared >= edit.at_least:
            applied.append({"type": edit.kind, **edit.counts, "cleared_input_tokens": max(cleared, 0)})
            prepared = replace(prepared, request=request, conversation=conversation, prompt=prompt)
    return replace(prepared, applied_edits=tuple(applied))


def _plan_and_translate(
    path: str,
    requested_edit: Mapping[str, Any],
    prepared: PreparedRequest[RequestT],
    context: AppContext,
    scope: Scope,
) -> tuple[PlannedEdit, RequestT, Conversation] | None:
    """An edit with the request and the conversation that it leads to; None if it changes nothing."""
    edit = plan_edit(path, requested_edit, prepared.request.messages, prepared.prompt.tokens)
    if edit is None:
        return None
    request = apply_edit(prepared.request, edit)
    hold_parts(scope, request.messages)
    return edit, request, _translate_held(request, context, prepared.server_tools, scope)


async def served_model_name(requested: str, context: AppContext) -> str:
    """Return the served model for a requested name: the name itself, an alias or a LoRA adapter.

    Raises:
        MessagesError: 404 `model: NAME`.
    """
    models = context.backend.models
    found = resolve(requested, models.names(), context.settings.aliases)
    if found is None and await models.load_lora(requested):
        found = requested
    if found is None:
        raise MessagesError("not_found_error", f"model: {requested}")
    return found
