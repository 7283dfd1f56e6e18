"""The way from a body to a prompt: what happens to a request whose client leaves meanwhile."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.reading import prepare
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.testing.fake_engine import FakeEngine
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.request import MessagesRequest

DOCUMENT = {"type": "document", "source": {"type": "url", "url": "https://files.example/a.pdf"}}


async def test_media_are_read_no_longer_when_the_client_has_left() -> None:
    resolving, cancelled = asyncio.Event(), asyncio.Event()

    async def resolve(host: str, port: int) -> list[str]:
        resolving.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return []

    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [DOCUMENT]}]}
    bodies = [json.dumps(body | {"model": FakeEngine().models.names()[0]}).encode()]

    async def receive() -> dict[str, Any]:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        await resolving.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    context = AppContext(FakeEngine(), Settings(), signer("k"), MediaReader(resolve=resolve))
    with pytest.raises(ClientDisconnect):
        await prepare(Request(scope, receive), context, MessagesRequest)
    assert cancelled.is_set()
