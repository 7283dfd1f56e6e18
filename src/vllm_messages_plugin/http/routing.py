"""The route class of the Messages endpoints: every exception of a handler becomes an Anthropic error."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from vllm_messages_plugin.http.admission import shutting_down
from vllm_messages_plugin.http.collector_pause import forget_frames, pause_ended
from vllm_messages_plugin.http.errors import error_response
from vllm_messages_plugin.http.headers import request_id_of
from vllm_messages_plugin.http.ports import app_context
from vllm_messages_plugin.wire.errors import MessagesError, internal_error

CLIENT_CLOSED_REQUEST = 499
"""Status, named after nginx's, of a request whose client disconnected. Only an access log may show it."""


class MessagesRoute(APIRoute):
    """Translates what a handler raises before vLLM's own exception handlers see it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler of the route, with its exceptions translated."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            with pause_ended(request.scope):
                try:
                    return await handler(request)
                except Exception as error:  # noqa: BLE001 - error_response logs it
                    response = _response(error, request)
                    forget_frames(error)
                    return response

        return handle


def _response(error: Exception, request: Request) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    reported = error if isinstance(error, MessagesError) else _unexpected(error, request)
    return error_response(reported, request_id_of(request))


def _unexpected(error: Exception, request: Request) -> MessagesError:
    """The error for an exception; while vLLM shuts down, its thread pools and sockets fail in many ways."""
    return shutting_down() if app_context(request).admission.is_shutting_down else internal_error(error)
