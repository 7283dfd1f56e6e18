"""Errors as the client sees them: the envelope on every path that is ours.

`ErrorMiddleware` is the outermost ASGI layer, wrapped around vLLM's whole stack by `plugin`: what vLLM's
authentication, FastAPI's router or an exception handler answers is put into Anthropic's words there.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllm_messages_plugin.http.headers import accept_either_key, give_request_id
from vllm_messages_plugin.wire.errors import NO_RETRY, MessagesError, error_body, kind_of_status
from vllm_messages_plugin.wire.sse import dump

UNAUTHORIZED = "invalid x-api-key"


def error_headers(error: MessagesError, request_id: str) -> dict[str, str]:
    """The headers an error travels with."""
    headers = {"request-id": request_id}
    if error.kind in NO_RETRY:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return headers


def error_response(error: MessagesError, request_id: str) -> Response:
    """An error as the answer to a request."""
    return Response(
        dump(error_body(error, request_id)),
        status_code=error.status,
        headers=error_headers(error, request_id),
        media_type="application/json",
    )


def is_ours(scope: Scope) -> bool:
    """Whether a request speaks Anthropic's API: by its path, or by the header its clients send."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == "/v1/messages" or path.startswith("/v1/messages/") or scope["method"] == "HEAD":
        return True
    return "anthropic-version" in Headers(scope=scope)


def foreign_error(status: int, body: bytes, method: str, path: str) -> MessagesError:
    """Someone else's error answer in our words."""
    kind = kind_of_status(status)
    if status == 401:
        return MessagesError(kind, UNAUTHORIZED)
    if status == 404:
        return MessagesError(kind, _said(body) or f"Not found: {method} {path}")
    if status == 405:
        return MessagesError(kind, f"Method not allowed: {method} {path}", status=status)
    message = "Internal server error" if status == 500 else _said(body) or f"HTTP {status}"
    return MessagesError(kind, message, status=status)


def _said(body: bytes) -> str | None:
    """The message in an error body of OpenAI's or FastAPI's shape; FastAPI's plain 404 says nothing."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return None
    value = value.get("error", value.get("detail")) if isinstance(value, Mapping) else None
    value = value.get("message") if isinstance(value, Mapping) else value
    return value if isinstance(value, str) and value != "Not Found" else None


class ErrorMiddleware:
    """The outermost layer. `keys` returns the API keys vLLM was started with, if any."""

    def __init__(self, app: ASGIApp, keys: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accept_either_key(scope, self._keys())  # type: ignore[arg-type]
        if is_ours(scope):
            send = _Sender(send, scope, give_request_id(scope))  # type: ignore[arg-type]
        await self._app(scope, receive, send)


class _Sender:
    """Sends one answer on: with a request id, and in our envelope if it is a foreign error."""

    def __init__(self, send: Send, scope: Scope, request_id: str) -> None:
        self._send = send
        self._scope = scope
        self._request_id = request_id
        self._start: Message | None = None  # of an error that is being put into our words
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is None:
            await self._send(message)
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._translate(self._start)

    async def _begin(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if message["status"] >= 400 and "request-id" not in headers:
            self._start = message
            return
        headers.setdefault("request-id", self._request_id)
        await self._send(message)

    async def _translate(self, start: Message) -> None:
        error = foreign_error(
            start["status"], b"".join(self._body), self._scope["method"], self._scope["path"]
        )
        body = dump(error_body(error, self._request_id))
        headers = MutableHeaders(scope=start)
        headers.update(error_headers(error, self._request_id))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        await self._send({**start, "status": error.status})
        await self._send({"type": "http.response.body", "body": body})
