"""Anthropic-style errors for every Anthropic request, including errors raised by vLLM, auth or FastAPI.

`ErrorMiddleware` is the outermost ASGI layer, around vLLM's whole middleware stack. It rewrites error
responses that vLLM's authentication, FastAPI's router or an exception handler produced.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllm_messages_plugin.http.headers import accept_x_api_key, assign_request_id
from vllm_messages_plugin.wire.errors import NO_RETRY, MessagesError, error_body, kind_of_status
from vllm_messages_plugin.wire.sse import dump

UNAUTHORIZED = "invalid x-api-key"


def error_headers(error: MessagesError, request_id: str) -> dict[str, str]:
    """Return the response headers of an error: its request id and whether a retry can help."""
    headers = {"request-id": request_id}
    if error.kind in NO_RETRY:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return headers


def error_response(error: MessagesError, request_id: str) -> Response:
    """Return the HTTP response for an error."""
    return Response(
        dump(error_body(error, request_id)),
        status_code=error.status,
        headers=error_headers(error, request_id),
        media_type="application/json",
    )


def is_anthropic_request(scope: Scope) -> bool:
    """Whether a request belongs to Anthropic's API, by its path or by the `anthropic-version` header."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == "/v1/messages" or path.startswith("/v1/messages/") or scope["method"] == "HEAD":
        return True
    return "anthropic-version" in Headers(scope=scope)


def to_anthropic_error(status: int, body: bytes, method: str, path: str) -> MessagesError:
    """Translate an error response of vLLM, Starlette or FastAPI.

    Args:
        status: The HTTP status of the response.
        body: Its body, in OpenAI's or FastAPI's schema, or anything else.
        method: The request's method.
        path: The request's path.
    """
    kind = kind_of_status(status)
    if status == 401:
        return MessagesError(kind, UNAUTHORIZED)
    if status == 404:
        return MessagesError(kind, _error_message(body) or f"Not found: {method} {path}")
    if status == 405:
        return MessagesError(kind, f"Method not allowed: {method} {path}", status=status)
    message = "Internal server error" if status == 500 else _error_message(body) or f"HTTP {status}"
    return MessagesError(kind, message, status=status)


def _error_message(body: bytes) -> str | None:
    """The message of an error body in OpenAI's or FastAPI's schema; None for FastAPI's plain 404."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return None
    value = value.get("error", value.get("detail")) if isinstance(value, Mapping) else None
    value = value.get("message") if isinstance(value, Mapping) else value
    return value if isinstance(value, str) and value != "Not Found" else None


class ErrorMiddleware:
    """Adds a request id to every Anthropic response and rewrites error responses that lack one."""

    def __init__(self, app: ASGIApp, keys: Callable[[], Sequence[str]]) -> None:
        """Wrap an ASGI app.

        Args:
            app: The app, with all its middleware.
            keys: Returns the API keys that vLLM was started with; empty if it asks for none.
        """
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accept_x_api_key(scope, self._keys())  # type: ignore[arg-type]
        if is_anthropic_request(scope):
            send = _ErrorRewriter(send, scope, assign_request_id(scope))  # type: ignore[arg-type]
        await self._app(scope, receive, send)


class _ErrorRewriter:
    """The `send` of one request. Buffers an error response until its body is complete, then rewrites it."""

    def __init__(self, send: Send, scope: Scope, request_id: str) -> None:
        self._send = send
        self._scope = scope
        self._request_id = request_id
        self._error_start: Message | None = None  # set while an error response is held back
        self._error_body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._error_start is None:
            await self._send(message)
        else:
            self._error_body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_rewritten(self._error_start)

    async def _start(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if message["status"] >= 400 and "request-id" not in headers:
            self._error_start = message
            return
        headers.setdefault("request-id", self._request_id)
        await self._send(message)

    async def _send_rewritten(self, start: Message) -> None:
        error = to_anthropic_error(
            start["status"], b"".join(self._error_body), self._scope["method"], self._scope["path"]
        )
        body = dump(error_body(error, self._request_id))
        headers = MutableHeaders(scope=start)
        headers.update(error_headers(error, self._request_id))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        await self._send({**start, "status": error.status})
        await self._send({"type": "http.response.body", "body": body})
