"""Two routes that a front end can't be cheaper than: ready bytes, and ready bytes for each engine output.

Both send one event a token, of the size that a text delta has.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

BARE = "/bench/bare"
LEAST = "/bench/least"
EVENT = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":" word"}}\n\n'
)
END = b'event: message_stop\ndata: {"usage":{"output_tokens":%d}}\n\n'


def with_floor(build_app: Callable[..., FastAPI]) -> Callable[..., FastAPI]:
    """vLLM's `build_app`, with the second route in the app."""

    def build(*args: Any, **kwargs: Any) -> FastAPI:
        app = build_app(*args, **kwargs)
        app.add_api_route(LEAST, _least, methods=["POST"])
        return app

    return build


async def _least(request: Request) -> StreamingResponse:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    body = await request.json()
    params = SamplingParams(max_tokens=body["max_tokens"], output_kind=RequestOutputKind.DELTA)
    prompt = {"prompt_token_ids": [1, 2, 3]}
    outputs = request.app.state.engine_client.generate(prompt, params, f"least-{uuid4()}")
    return StreamingResponse(_events(outputs), media_type="text/event-stream")


async def _events(outputs: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    tokens = 0
    async for output in outputs:
        tokens += len(output.outputs[0].token_ids)
        yield EVENT
    yield END % tokens


class Bare:
    """ASGI middleware that answers the first route itself, with as many events as its query names."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != BARE:
            await self._app(scope, receive, send)
            return
        tokens = int(scope["query_string"])
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(tokens):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": END % tokens, "more_body": False})
