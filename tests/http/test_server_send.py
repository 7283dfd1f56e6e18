"""The server's own `send` is found behind layers that pass bodies on, and only behind those."""

import asyncio
from functools import wraps
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.types import ASGIApp, Receive, Scope, Send
from vllm.entrypoints.serve.middleware.x_request_id import XRequestIdMiddleware

from support.loopback import serving_app
from vllm_messages_plugin.http.access_control import AccessControl
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.errors import ErrorMiddleware
from vllm_messages_plugin.http.server_send import begin, server_send


class Watching(Response):
    """A response that notes whether the server's `send` was found."""

    found: Any = "not asked"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": []})
        type(self).found = server_send(send)
        await send({"type": "http.response.body", "body": b""})


def app_with_route(status: int = 200) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def answer(_request: Request) -> Response:
        return Watching(status_code=status)

    return app


def uvicorn_server(app: Any, http: Any = "httptools") -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, port=0, http=http, log_level="error", lifespan="off"))


async def found_in(app: ASGIApp, http: str = "httptools") -> Any:
    async with serving_app(uvicorn_server(app, http)) as port, httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/", headers={"origin": "http://a.example"})
    return Watching.found


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_it_is_found_behind_all_layers_that_vllm_has(http: str) -> None:
    app = app_with_route()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.add_middleware(XRequestIdMiddleware)
    Instrumentator().instrument(app)
    whole = ErrorMiddleware(app, AccessControl(None, list), Admission())
    found = await found_in(whole, http)
    assert found is not None
    assert type(found.__self__).__name__ == "RequestResponseCycle"


async def test_it_is_not_found_behind_a_layer_that_may_change_bodies() -> None:
    app = app_with_route()

    @app.middleware("http")
    async def change(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    assert await found_in(app) is None


async def test_it_is_not_found_behind_a_layer_that_has_the_name_of_the_one_it_wraps() -> None:
    """As `functools.wraps` gives it, which OpenTelemetry's middleware uses."""
    app = app_with_route()
    layers: list[Any] = []

    async def change(scope: Scope, receive: Receive, send: Send) -> None:
        @wraps(send)
        async def changed(message: Any) -> None:
            await send(message)

        layers.append(changed)
        await app(scope, receive, changed)

    whole = ErrorMiddleware(XRequestIdMiddleware(change), AccessControl(None, list), Admission())
    assert await found_in(whole) is None
    assert layers[0].__qualname__.startswith("XRequestIdMiddleware.")


async def test_it_is_not_found_behind_metrics_that_read_bodies() -> None:
    app = app_with_route()
    Instrumentator(body_handlers=["/"]).instrument(app)
    assert await found_in(app) is None


async def test_it_is_not_found_in_an_error_that_is_rewritten() -> None:
    whole = ErrorMiddleware(app_with_route(503), AccessControl(None, list), Admission())
    async with serving_app(uvicorn_server(whole)) as port, httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/v1/messages")
        await client.get(f"http://127.0.0.1:{port}/", headers={"anthropic-version": "2023-06-01"})
    assert Watching.found is None


async def test_it_is_not_found_without_a_known_server() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app_with_route())) as client:
        await client.get("http://test/")
    assert Watching.found is None


async def test_work_that_does_not_wait_is_done_at_once() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    assert begin(work()) is None
    assert done == [1]


async def test_work_that_waits_goes_on_when_the_rest_is_awaited() -> None:
    gate, done = asyncio.Event(), []

    async def work() -> None:
        done.append(1)
        await gate.wait()
        done.append(2)
        await asyncio.sleep(0.01)
        done.append(3)

    rest = begin(work())
    assert rest is not None
    assert done == [1]
    asyncio.get_running_loop().call_later(0.01, gate.set)
    await rest
    assert done == [1, 2, 3]
