"""The route classes of the Messages endpoints: every exception of a handler becomes an Anthropic error."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from vllm_messages_plugin.http.admission import shutting_down
from vllm_messages_plugin.http.collector_pause import forget_frames, pause_ended
from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.gradual_release import release_parts
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.http.records import record_of
from vllm_messages_plugin.wire.errors import MessagesError, internal_error

CLIENT_CLOSED_REQUEST = 499
"""Status, named after nginx's, of a request whose client disconnected. Only an access log may show it."""


class MessagesRoute(APIRoute):
    """Translates what a handler raises before vLLM's own exception handlers see it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler of the route, with its exceptions translated."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await _respond(handler, request)

        return handle


class DirectRoute(MessagesRoute):
    """A route whose endpoint takes the request and nothing else, and is called with it directly.

    FastAPI's search for dependencies and its wrapper around `send`, which every event of a stream passes,
    cost more than the endpoint's own work on a short request.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.app = self._call_endpoint

    async def _call_endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await _respond(self.endpoint, Request(scope, receive, send))
            await response(scope, receive, send)
        finally:
            await release_parts(scope)


async def _respond(handler: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    """Call a handler; the response to an exception is an error."""
    with pause_ended(request.scope):
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - error_response logs it
            response = _response(error, request)
            forget_frames(error)
            await release_parts(request.scope)  # before the collector runs again
            return response


def _response(error: Exception, request: Request) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    reported = error if isinstance(error, MessagesError) else _unexpected(error, request)
    record_of(request).error = reported.kind
    return error_response(reported, request_id_of(request))


def _unexpected(error: Exception, request: Request) -> MessagesError:
    """The error for an exception; while vLLM shuts down, its thread pools and sockets fail in many ways."""
    return shutting_down() if app_context(request).admission.is_shutting_down else internal_error(error)
