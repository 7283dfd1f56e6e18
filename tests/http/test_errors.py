"""Every error of an Anthropic request is in Anthropic's schema, whichever layer produced it."""

import gzip
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.responses import JSONResponse

from vllm_messages_plugin.http.errors import ErrorMiddleware
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

KEY = "right"


def failing_app() -> ErrorMiddleware:
    """An app that fails as vLLM's own layers do, inside the error middleware."""
    app = FastAPI()

    @app.get("/v1/messages/{status}")
    async def fail(status: int) -> None:
        raise HTTPException(status, "as it happens")

    @app.post("/v1/messages")
    async def openai_error() -> JSONResponse:
        return JSONResponse({"error": {"message": "no", "type": "BadRequestError", "code": 400}}, 400)

    @app.get("/v1/who")
    async def who(key: Any = None) -> None:
        raise RuntimeError("a bug with a secret")

    return ErrorMiddleware(app, lambda: [KEY])


async def get(path: str, app: Any = None, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app or failing_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        return await http.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
    ],
)
async def test_a_status_of_another_layer_maps_to_its_error_type(status: int, kind: str) -> None:
    reply = await get(f"/v1/messages/{status}")
    body = reply.json()
    assert reply.status_code in (status, 400) if status == 422 else reply.status_code == status
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["request_id"] == reply.headers["request-id"]
    assert int(reply.headers["content-length"]) == len(reply.content)


async def test_an_unauthorized_response_forbids_a_retry() -> None:
    assert (await get("/v1/messages/401")).headers["x-should-retry"] == "false"


async def test_the_error_names_an_unknown_route_and_method() -> None:
    missing, wrong = await get("/v1/messages/a/b"), await get("/v1/messages", method="PUT")
    assert (missing.status_code, missing.json()["error"]["message"]) == (
        404,
        "Not found: GET /v1/messages/a/b",
    )
    assert wrong.status_code == 405
    assert wrong.json()["error"] == {
        "type": "invalid_request_error",
        "message": "Method not allowed: PUT /v1/messages",
    }


async def test_an_openai_error_keeps_its_message() -> None:
    reply = await get("/v1/messages", method="POST")
    assert reply.json()["error"] == {"type": "invalid_request_error", "message": "no"}


async def test_a_crash_is_an_api_error_without_details() -> None:
    reply = await get("/v1/who", anthropic_version="2023-06-01")
    assert reply.status_code == 500
    assert reply.json()["error"] == {"type": "api_error", "message": "Internal server error"}


async def test_requests_of_other_apis_keep_their_errors() -> None:
    reply = await get("/v1/nothing")
    assert reply.json() == {"detail": "Not Found"}
    assert "request-id" not in reply.headers


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        (b"", "The request body is not valid JSON"),
        (b"{", "The request body is not valid JSON"),
        (b"[]", "The request body must be a JSON object"),
        (b"null", "The request body must be a JSON object"),
        (b"{}", "model: "),
        (b'{"model":"fake","messages":[{"role":"user","content":"x"}]}', "max_tokens: Field required"),
        (b'{"model":"fake","max_tokens":"9","messages":[{"role":"user","content":"x"}]}', "max_tokens: "),
        (b'{"model":"fake","max_tokens":9,"messages":[{"role":"boss","content":"x"}]}', "messages.0.role: "),
        (b'\xff\xfe{"model":"fake"}', "The request body is not valid JSON"),
    ],
)
async def test_a_bad_body_is_a_400_that_names_the_field(body: bytes, begins: str) -> None:
    transport = httpx.ASGITransport(app_with(FakeEngine()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        reply = await http.post("/v1/messages", content=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"type", "error", "request_id"}
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert reply.json()["error"]["message"].startswith(begins)


async def test_a_body_over_the_limit_is_a_413() -> None:
    transport = httpx.ASGITransport(app_with(FakeEngine(), max_body_mb=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        reply = await http.post("/v1/messages", content=b" " * (1024 * 1024 + 1))
    assert reply.status_code == 413
    assert reply.json()["error"]["type"] == "request_too_large"


async def test_an_unsupported_content_encoding_is_named() -> None:
    transport = httpx.ASGITransport(app_with(FakeEngine()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        reply = await http.post("/v1/messages", content=b"x", headers={"content-encoding": "br"})
    assert reply.status_code == 400
    assert reply.json()["error"]["details"] == {"error_code": "request_body_encoding_unsupported"}


GOOD = json.dumps({"model": "fake", "messages": [{"role": "user", "content": "x"}]}).encode()


async def sent(body: bytes, encoding: str = "gzip") -> httpx.Response:
    transport = httpx.ASGITransport(app_with(FakeEngine(), max_body_mb=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        headers = {"content-encoding": encoding}
        return await http.post("/v1/messages/count_tokens", content=body, headers=headers)


async def test_a_gzip_body_is_accepted() -> None:
    assert (await sent(gzip.compress(GOOD))).json() == {"input_tokens": 1}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no gzip", 400, "request_body_encoding_invalid"),
        (gzip.compress(GOOD)[:-9], 400, "request_body_encoding_invalid"),
        (gzip.compress(b" " * (1024 * 1024 + 1)), 413, "request_body_too_large_after_decoding"),
    ],
)
async def test_a_broken_or_oversized_gzip_body_is_refused_with_an_error_code(
    body: bytes, status: int, code: str
) -> None:
    reply = await sent(body)
    assert reply.status_code == status
    assert reply.json()["error"]["details"] == {"error_code": code}


async def seen_authorization(**headers: str) -> str | None:
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]).get(b"authorization", b"").decode() or None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({}).encode()})

    await get("/v1/messages", ErrorMiddleware(app, lambda: [KEY, "other"]), **headers)
    return seen[0]


async def test_a_valid_x_api_key_is_copied_to_authorization() -> None:
    assert await seen_authorization(x_api_key=KEY) == f"Bearer {KEY}"
    assert await seen_authorization(x_api_key=KEY, authorization="Bearer wrong") == f"Bearer {KEY}"


async def test_an_invalid_x_api_key_leaves_authorization_alone() -> None:
    assert await seen_authorization(x_api_key="wrong", authorization=f"Bearer {KEY}") == f"Bearer {KEY}"
    assert await seen_authorization(x_api_key="wrong") is None
