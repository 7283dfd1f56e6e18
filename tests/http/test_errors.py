"""Every error of an Anthropic request is in Anthropic's schema, whichever layer produced it."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from vllm_messages_plugin.http.access_control import AccessControl
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.errors import ErrorMiddleware
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

KEY = "right"


def failing_app() -> ErrorMiddleware:
    return ErrorMiddleware(failing_app_without_middleware(), AccessControl(None, lambda: [KEY]), Admission())


def failing_app_without_middleware() -> FastAPI:
    """An app that fails as vLLM's own layers do."""
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

    return app


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


async def test_a_crash_is_an_api_error_without_details(caplog: pytest.LogCaptureFixture) -> None:
    reply = await get("/v1/who", anthropic_version="2023-06-01")
    (record,) = caplog.records
    assert reply.headers["request-id"] in record.getMessage()
    assert "a bug with a secret" in caplog.text
    assert "Traceback" in caplog.text
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


async def seen_authorization(**headers: str) -> str | None:
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]).get(b"authorization", b"").decode() or None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({}).encode()})

    await get(
        "/v1/messages",
        ErrorMiddleware(app, AccessControl(None, lambda: [KEY, "other"]), Admission()),
        **headers,
    )
    return seen[0]


async def test_a_valid_x_api_key_is_copied_to_authorization() -> None:
    assert await seen_authorization(x_api_key=KEY) == f"Bearer {KEY}"
    assert await seen_authorization(x_api_key=KEY, authorization="Bearer wrong") == f"Bearer {KEY}"


async def test_an_invalid_x_api_key_leaves_authorization_alone() -> None:
    assert await seen_authorization(x_api_key="wrong", authorization=f"Bearer {KEY}") == f"Bearer {KEY}"
    assert await seen_authorization(x_api_key="wrong") is None


async def test_a_doubled_version_in_the_path_is_explained() -> None:
    reply = await get("/v1/v1/messages", method="POST")
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"
    assert "base URL must not end in /v1" in reply.json()["error"]["message"]


ORIGIN = "https://app.example.com"


def app_behind_authentication(admission: Admission | None = None, **rules: Any) -> ErrorMiddleware:
    """vLLM's order of layers: its authentication is outside its CORS layer."""
    cors = CORSMiddleware(failing_app_without_middleware(), allow_origins=["*"], **rules)

    async def authenticate(scope: Any, receive: Any, send: Any) -> None:
        unauthorized = JSONResponse({"error": "Unauthorized"}, 401)
        allowed = b"authorization" in dict(scope["headers"])
        await (cors if allowed else unauthorized)(scope, receive, send)

    outer = CORSMiddleware(authenticate, allow_origins=["*"], **rules)
    return ErrorMiddleware(authenticate, AccessControl(None, lambda: []), admission or Admission(), outer)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}], ids=["401", "404"])
async def test_every_error_has_cors_headers_once(headers: dict[str, str]) -> None:
    reply = await get("/v1/messages/404", app_behind_authentication(), origin=ORIGIN, **headers)
    assert reply.status_code in (401, 404)
    assert reply.headers.get_list("access-control-allow-origin") == ["*"]


async def test_a_refusal_by_the_middleware_has_cors_headers() -> None:
    app = app_behind_authentication(Admission(limit=0), allow_credentials=True)
    reply = await get("/v1/messages", app, method="POST", origin=ORIGIN, cookie="a=b")
    assert reply.status_code == 529
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["access-control-allow-credentials"] == "true"


async def test_an_error_of_a_request_without_origin_has_no_cors_headers() -> None:
    reply = await get("/v1/messages/404", app_behind_authentication())
    assert "access-control-allow-origin" not in reply.headers
