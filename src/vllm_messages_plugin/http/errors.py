"""Anthropic-style errors for every Anthropic request, including errors raised by vLLM, auth or FastAPI.

`error_response` writes the errors of this plugin's routes. `ErrorMiddleware`, around vLLM's middleware
stack, rewrites error responses that vLLM's authentication, FastAPI's router or an exception handler produced.
Internal errors are logged here, with the request's id.
"""

import json
from collections.abc import Awaitable, Mapping
from typing import Any

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.http.access_control import INVALID_KEY, AccessControl
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.headers import assign_request_id
from vllm_messages_plugin.http.records import begin_record, is_limited
from vllm_messages_plugin.http.server_send import PassesBodyOn
from vllm_messages_plugin.stream.failure_log import log_api_error
from vllm_messages_plugin.wire.errors import (
    NO_RETRY,
    MessagesError,
    error_body,
    internal_error,
    kind_of_status,
    new_request_id,
)
from vllm_messages_plugin.wire.sse import dump

REQUEST_TIMEOUT = 408
"""Status of a body that came too slowly. The rest of it is not awaited: the connection is closed."""

POLICY_VIOLATION = 1008
"""Close code of a websocket without a valid key (RFC 6455, 7.4.1)."""

ANTHROPIC_PREFIXES = ("/v1/messages/", "/v1/files/", "/v1/v1/")
ANTHROPIC_PATHS = frozenset({"/v1/messages", "/v1/files"})

DOUBLED_VERSION = "The path has /v1 twice: the client's base URL must not end in /v1"


def error_headers(error: MessagesError, request_id: str) -> dict[str, str]:
    """Return the response headers of an error: its request id and whether a retry can help."""
    headers = {**error.headers, "request-id": request_id}
    if error.kind in NO_RETRY:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == REQUEST_TIMEOUT:
        headers["connection"] = "close"
    return headers


def error_response(error: MessagesError, request_id: str) -> Response:
    """Return the HTTP response for an error; an internal error is logged first."""
    log_api_error(error, request_id)
    return Response(
        dump(error_body(error, request_id)),
        status_code=error.status,
        headers=error_headers(error, request_id),
        media_type="application/json",
    )


def openai_body(error: MessagesError) -> dict[str, Any]:
    """The body of an error in OpenAI's schema, for the clients of vLLM's own routes."""
    return {"error": {"message": error.message, "type": error.kind, "param": None, "code": error.status}}


def is_anthropic_request(scope: Scope) -> bool:
    """Whether a request belongs to Anthropic's API, by its path or by the `anthropic-version` header."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path.startswith(ANTHROPIC_PREFIXES) or path in ANTHROPIC_PATHS or scope["method"] == "HEAD":
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
        return MessagesError(kind, INVALID_KEY)
    if status == 404 and "/v1/v1/" in path:
        return MessagesError(kind, f"Not found: {method} {path}. {DOUBLED_VERSION}")
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
    """Adds request ids, rewrites error responses of other layers, and refuses what is not admitted."""

    def __init__(
        self,
        app: ASGIApp,
        access: AccessControl,
        admission: Admission,
        cors: CORSMiddleware | None = None,
        accounting: Accounting | None = None,
    ) -> None:
        """Wrap an ASGI app.

        Args:
            app: The app, with all its middleware.
            access: Decides which requests have a valid key.
            admission: Decides which requests are admitted.
            cors: Writes the CORS headers of errors that no inner layer gave any.
            accounting: Holds keys to their limits and counts what requests use.
        """
        self._app = app
        self._access = access
        self._admission = admission
        self._cors = cors
        self._accounting = accounting or Accounting()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            self._access.identify(scope, path)
        except MessagesError as unauthorized:
            await self._refuse(unauthorized, scope, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        record = begin_record(scope, path)
        limited = is_limited(scope["method"], path)
        try:
            headers = await self._admit(record, scope["method"], path, limited)
        except MessagesError as refusal:
            record.status, record.error = refusal.status, refusal.kind
            self._accounting.write(record)
            await self._refuse(refusal, scope, send, record.request_id)
            return
        self._accounting.start(record)
        try:
            await self._run(scope, receive, send, record, headers)
        finally:
            await self._accounting.end(record, limited=limited)

    async def _admit(self, record: RequestRecord, method: str, path: str, limited: bool) -> Mapping[str, str]:
        """Admit a request; return the response headers that tell the client its limits."""
        if method == "POST" and (refusal := self._admission.refusal(path)) is not None:
            record.refusal = self._admission.cause
            raise refusal
        return await self._accounting.begin(record, limited=limited)

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, record: RequestRecord, headers: Mapping[str, str]
    ) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not is_anthropic_request(scope):
            await self._app(scope, receive, _StatusRecorder(send, record))
            return
        assign_request_id(scope, record.request_id)
        writer = _ErrorRewriter(_StatusRecorder(send, record, headers), scope, record.request_id, self._cors)
        with self._admission.in_flight(path):
            await self._call_app(scope, receive, writer)

    async def _refuse(
        self, error: MessagesError, scope: Scope, send: Send, request_id: str | None = None
    ) -> None:
        """Refuse a request before anything else is done for it: under overload this has to be cheap."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        request_id = request_id or new_request_id()
        body = dump(error_body(error, request_id) if is_anthropic_request(scope) else openai_body(error))
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **error_headers(error, request_id),
        }
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        start: Message = {"type": "http.response.start", "status": error.status, "headers": headers}
        if self._cors is not None and any(name == b"origin" for name, _ in scope["headers"]):
            await self._cors.send(start, send, Headers(scope=scope))
        else:
            await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _call_app(self, scope: Scope, receive: Receive, writer: "_ErrorRewriter") -> None:
        """Call the app; an exception that reaches this layer is logged with the request's id.

        Starlette raises an exception again after it has sent its own 500, for the server to log.
        """
        try:
            await self._app(scope, receive, writer)
        except Exception as error:  # noqa: BLE001 - logged, and answered if nothing was sent yet
            failure = internal_error(error)
            log_api_error(failure, writer.request_id)
            if not writer.started:
                await error_response(failure, writer.request_id)(scope, receive, writer)


class _StatusRecorder(PassesBodyOn):
    """The `send` of one request. Records the status and adds headers to the response."""

    def __init__(self, send: Send, record: RequestRecord, headers: Mapping[str, str] | None = None) -> None:
        self._send = send
        self._record = record
        self._headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]

    def __call__(self, message: Message) -> Awaitable[None]:
        """Send a message. What is only passed on, as each event of a stream, gets no coroutine."""
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        return self._send(message)

    def next_send(self) -> Send:
        """The next layer, to which bodies are passed on."""
        return self._send


class _ErrorRewriter(PassesBodyOn):
    """The `send` of one request. Buffers an error response until its body is complete, then rewrites it."""

    def __init__(self, send: Send, scope: Scope, request_id: str, cors: CORSMiddleware | None) -> None:
        self.request_id = request_id
        self.started = False  # whether a response has begun
        self._send = send
        self._scope = scope
        self._cors = cors
        self._error_start: Message | None = None  # set while an error response is held back
        self._error_body: list[bytes] = []

    def __call__(self, message: Message) -> Awaitable[None]:
        """Send a message. What is only passed on, as each event of a stream, gets no coroutine."""
        if message["type"] == "http.response.start":
            return self._start(message)
        if self._error_start is None:
            return self._send(message)
        return self._add_to_error(message, self._error_start)

    def next_send(self) -> Send | None:
        """The next layer, unless the body is that of an error."""
        return self._send if self._error_start is None else None

    async def _add_to_error(self, message: Message, start: Message) -> None:
        self._error_body.append(message.get("body", b""))
        if not message.get("more_body", False):
            await self._send_rewritten(start)

    async def _start(self, message: Message) -> None:
        self.started = True
        headers = MutableHeaders(scope=message)
        if message["status"] >= 400 and "request-id" not in headers:
            self._error_start = message
            return
        headers.setdefault("request-id", self.request_id)
        await self._send_start(message)

    async def _send_start(self, message: Message) -> None:
        """Send the head of a response, with CORS headers if it is an error that no inner layer gave any."""
        request_headers = Headers(scope=self._scope)
        has_cors_headers = "access-control-allow-origin" in MutableHeaders(scope=message)
        if (
            self._cors is None
            or message["status"] < 400
            or "origin" not in request_headers
            or has_cors_headers
        ):
            await self._send(message)
        else:
            await self._cors.send(message, self._send, request_headers)

    async def _send_rewritten(self, start: Message) -> None:
        error = to_anthropic_error(
            start["status"], b"".join(self._error_body), self._scope["method"], self._scope["path"]
        )
        body = dump(error_body(error, self.request_id))
        headers = MutableHeaders(scope=start)
        headers.update(error_headers(error, self.request_id))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        await self._send_start({**start, "status": error.status})
        await self._send({"type": "http.response.body", "body": body})
