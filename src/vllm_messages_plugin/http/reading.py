"""A request's way to its prompt, which messages and count_tokens share.

Called by `messages` and `count_tokens`; everything that can be refused is refused here.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from fastapi import Request

from vllm_messages_plugin.http.headers import read_body
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.media.fetch import with_fetched
from vllm_messages_plugin.translate.context_edits import edited, plan, wanted_edits
from vllm_messages_plugin.translate.conversation import Conversation, converse
from vllm_messages_plugin.translate.model_names import resolve
from vllm_messages_plugin.wire.blocks import Block, ContentSource, DocumentBlockParam, ToolResultBlockParam
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import Body, CountTokensRequest, parse

Result = TypeVar("Result")

LARGE = 256 * 1024
"""Bytes from which on a body is parsed and translated in a thread, so as not to hold up the event loop."""


@dataclass(frozen=True, slots=True)
class PreparedRequest(Generic[Body]):
    """A request that was understood. `model` is the served name that answers it.

    `applied_edits` is None where no context management was asked for; `original_tokens` is the prompt's
    size before the edits.
    """

    asked: Body
    model: str
    conversation: Conversation
    prompt: Any
    original_tokens: int
    applied_edits: tuple[Mapping[str, Any], ...] | None


async def read(request: Request, service: AppContext, shape: type[Body]) -> PreparedRequest[Body]:
    """Parse, translate and render a request, its context edits done.

    Raises:
        MessagesError: it can't be served; nothing has been sent yet.
    """
    body = await read_body(request, service.settings.max_body_mb * 1024 * 1024)
    slow = len(body) > LARGE
    asked = await _run(slow, parse, body, shape)
    model = await served_name(asked.model, service)
    asked = await with_fetched(asked, rules=service.fetch, images=service.backend.traits.images)
    slow = slow or has_documents(asked)
    conversation = await _run(slow, _conversation, asked, service)
    prompt = await service.backend.render(conversation, asked.extra)
    plain = PreparedRequest(asked, model, conversation, prompt, prompt.tokens, None)
    return plain if asked.context_management is None else await _edited(plain, service, slow)


async def _run(slow: bool, work: Callable[..., Result], *values: Any) -> Result:
    return await asyncio.to_thread(work, *values) if slow else work(*values)


def _conversation(asked: Body, service: AppContext) -> Conversation:
    return converse(asked, service.backend.traits, service.signer.restore, service.settings.default_thinking)


def has_documents(asked: CountTokensRequest) -> bool:
    """Whether a document stands in the conversation that takes time to read, wherever it came from."""
    return any(_holds_document(message.content) for message in asked.messages)


def _holds_document(content: str | list[Block] | None) -> bool:
    for block in content if isinstance(content, list) else ():
        if isinstance(block, ToolResultBlockParam) and _holds_document(block.content):
            return True
        if isinstance(block, DocumentBlockParam):
            source = block.source
            if not isinstance(source, ContentSource) or _holds_document(source.content):
                return True
    return False


async def _edited(read: PreparedRequest[Body], service: AppContext, slow: bool) -> PreparedRequest[Body]:
    """The request with those of its context edits done that change something."""
    applied: list[Mapping[str, Any]] = []
    for path, wanted in wanted_edits(read.asked):
        edit = plan(path, wanted, read.asked.messages, read.prompt.tokens)
        if edit is None:
            continue
        asked = edited(read.asked, edit)
        conversation = await _run(slow, _conversation, asked, service)
        prompt = await service.backend.render(conversation, asked.extra)
        cleared = read.prompt.tokens - prompt.tokens
        if cleared >= edit.at_least:
            applied.append({"type": edit.kind, **edit.counted, "cleared_input_tokens": max(cleared, 0)})
            read = replace(read, asked=asked, conversation=conversation, prompt=prompt)
    return replace(read, applied_edits=tuple(applied))


async def served_name(asked: str, service: AppContext) -> str:
    """The served model that answers to a name.

    Raises:
        MessagesError: 404 `model: NAME`.
    """
    models = service.backend.models
    found = resolve(asked, models.names(), service.settings.aliases)
    if found is None and await models.load_lora(asked):
        found = asked
    if found is None:
        raise MessagesError("not_found_error", f"model: {asked}")
    return found
