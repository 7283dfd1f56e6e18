"""Finds the HTTP server's own `send` behind the layers around a route.

A response passes a coroutine of each middleware on its way to the server. Most of them look at its start and
pass its body on as it is. For an event stream, whose body is thousands of small pieces, these layers cost
more than the pieces. So the pieces go to the server's `send` where every layer between is one that is known
to pass them on; the start of the response passes all layers. A layer that is not known is not left out.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from starlette.types import Message, Send

_LAYERS: Final = frozenset(
    {
        ("starlette._exception_handler", "wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender"),
        ("starlette.middleware.errors", "ServerErrorMiddleware.__call__.<locals>._send"),
        (
            "prometheus_fastapi_instrumentator.middleware",
            "PrometheusInstrumentatorMiddleware.__call__.<locals>.send_wrapper",
        ),
        (
            "vllm.entrypoints.serve.middleware.x_request_id",
            "XRequestIdMiddleware.__call__.<locals>.send_with_request_id",
        ),
    }
)
"""Functions that pass the body of a response on to the `send` in their closure."""
_READS_BODIES: Final = "body"
"""A variable of the function that also reads bodies, which Prometheus' middleware has under the same name."""
_HTTPTOOLS: Final = "uvicorn.protocols.http.httptools_impl"
_SERVERS: Final = frozenset({_HTTPTOOLS, "uvicorn.protocols.http.h11_impl"})
"""Modules of servers whose `send` waits for nothing but the client."""

_PARTS: Final = (
    "chunked_encoding", "disconnected", "flow", "response_complete", "response_started", "scope", "transport"
)  # fmt: skip
"""What a piece of a body depends on in uvicorn's `send`."""


class PassesBodyOn:
    """Marks a layer that passes bodies on to the `send` that `next_send` returns."""

    def next_send(self) -> Send | None:
        """The next layer; None while bodies are not passed on."""
        raise NotImplementedError


def server_send(send: Send) -> Callable[[Message], Coroutine[Any, Any, None]] | None:
    """Return the server's `send`; None if a layer is not known to pass bodies on.

    Args:
        send: The `send` of a route, after the start of the response was sent with it.
    """
    layer: Any = send
    while layer is not None and not _is_server(layer):
        layer = _next(layer)
    return layer  # type: ignore[no-any-return]


def _is_server(layer: Any) -> bool:
    return isinstance(layer, MethodType) and type(layer.__self__).__module__ in _SERVERS


def _next(layer: Any) -> Any:
    if isinstance(layer, PassesBodyOn):
        return layer.next_send()
    if isinstance(layer, partial):
        known = _place(layer.func) == ("starlette.middleware.cors", "CORSMiddleware.send")
        return layer.keywords.get("send") if known else None
    if _place(layer) not in _LAYERS:
        return None
    names = layer.__code__.co_freevars
    if "send" not in names or _READS_BODIES in names:
        return None
    return (layer.__closure__ or ())[names.index("send")].cell_contents


def _place(function: Any) -> tuple[str, str] | None:
    """The module and the name with which a function was defined; `functools.wraps` changes those it shows."""
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return None
    return function.__globals__["__name__"], function.__code__.co_qualname


def body_writer(send: Callable[..., Any] | None) -> Callable[[bytes], bool] | None:
    """Return a function that writes a piece of a body, or returns False where `send` must be asked.

    Args:
        send: The server's `send`, after the start of the response.

    Returns:
        The function; None for a server, or a response, whose pieces only its `send` can write.
    """
    response: Any = getattr(send, "__self__", None)
    if type(response).__module__ != _HTTPTOOLS or not all(hasattr(response, name) for name in _PARTS):
        return None
    if not response.chunked_encoding or response.scope["method"] == "HEAD":
        return None
    flow, write = response.flow, response.transport.write

    def write_piece(body: bytes) -> bool:
        if flow.write_paused or response.disconnected or response.response_complete:
            return False
        write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    return write_piece


class Rest:
    """What is left of a coroutine that waits: either awaited, once, or closed."""

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: asyncio.Future[Any]) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._waits_for
            yield from self._work.__await__()
        finally:
            self.close()

    def close(self) -> None:
        """End the coroutine where it waits."""
        self._work.close()


def begin(work: Coroutine[Any, Any, None]) -> Rest | None:
    """Run a coroutine until it waits; return what is left of it, None if nothing is.

    The part that runs here runs in no task.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return Rest(work, waits_for)
