"""A request's way to its prompt, which messages and count_tokens share.

Called by `messages` and `count_tokens`; everything that can be refused is refused here.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Generic

from fastapi import Request

from vllm_messages_plugin.http.headers import read_body
from vllm_messages_plugin.http.ports import Service
from vllm_messages_plugin.translate.conversation import Conversation, converse
from vllm_messages_plugin.translate.model_names import resolve
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import Body, CountTokensRequest, parse

LARGE = 256 * 1024
"""Bytes from which on a body is parsed and translated in a thread, so as not to hold up the event loop."""


@dataclass(frozen=True, slots=True)
class Read(Generic[Body]):
    """A request that was understood. `model` is the served name that answers it."""

    asked: Body
    model: str
    conversation: Conversation
    prompt: Any


async def read(request: Request, service: Service, shape: type[Body]) -> Read[Body]:
    """Parse, translate and render a request.

    Raises:
        MessagesError: it can't be served; nothing has been sent yet.
    """
    body = await read_body(request, service.settings.max_body_mb * 1024 * 1024)
    if len(body) > LARGE:
        asked, conversation = await asyncio.to_thread(_understand, body, service, shape)
    else:
        asked, conversation = _understand(body, service, shape)
    model = await served_name(asked.model, service)
    prompt = await service.backend.render(conversation, asked.extra)
    return Read(asked, model, conversation, prompt)


def _understand(body: bytes, service: Service, shape: type[Body]) -> tuple[Body, Conversation]:
    asked = parse(body, shape)
    conversation = converse(
        asked, service.backend.traits, service.signer.restore, service.settings.default_thinking
    )
    return asked, conversation


async def served_name(asked: str, service: Service) -> str:
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


__all__ = ["CountTokensRequest", "Read", "read", "served_name"]
