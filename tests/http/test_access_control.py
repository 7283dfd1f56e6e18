"""Named keys guard every route, beside the keys that vLLM was started with."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import digest_of
from vllm_messages_plugin.http.access_control import AccessControl, caller_of
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.errors import ErrorMiddleware

VLLM_KEY = "vllm's own"


def key_file(path: Path, **fields: str) -> KeyFile:
    file = path / "keys.toml"
    more = "".join(f"{name} = {value}\n" for name, value in fields.items())
    file.write_text(f'[[key]]\nname = "alice"\nsha256 = "{digest_of("right").hex()}"\n{more}')
    return KeyFile(file)


def app() -> FastAPI:
    inner = FastAPI()

    @inner.api_route("/{path:path}", methods=["GET", "POST"])
    async def show(path: str, request: Request) -> dict[str, Any]:
        return {"owner": caller_of(request).name, "sent": request.headers.get("authorization")}

    @inner.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return inner


def guarded(keys: KeyFile | None, *vllm_keys: str) -> ErrorMiddleware:
    return ErrorMiddleware(app(), AccessControl(keys, lambda: vllm_keys), Admission())


async def get(server: Any, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://test") as http:
        return await http.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    "headers", [{"x_api_key": "right"}, {"authorization": "Bearer right"}, {"authorization": "bearer right"},
                {"x_api_key": "wrong", "authorization": "Bearer right"}]
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/tokenize"])
async def test_a_named_key_owns_its_requests_on_every_route(
    tmp_path: Path, headers: dict[str, str], path: str
) -> None:
    reply = await get(guarded(key_file(tmp_path)), path, **headers)
    assert (reply.status_code, reply.json()["owner"]) == (200, "alice")


@pytest.mark.parametrize("headers", [{}, {"x_api_key": "wrong"}, {"authorization": "Basic right"}])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/v1/chat/completions", "/invocations"])
async def test_without_a_valid_key_every_route_is_closed(
    tmp_path: Path, headers: dict[str, str], path: str
) -> None:
    reply = await get(guarded(key_file(tmp_path)), path, "POST", **headers)
    assert reply.status_code == 401
    assert reply.headers["x-should-retry"] == "false"
    assert ("type" in reply.json()) is (path == "/v1/messages")
    assert "invalid x-api-key" in reply.text


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version", "/"])
async def test_probes_and_scrapers_need_no_key(tmp_path: Path, path: str) -> None:
    assert (await get(guarded(key_file(tmp_path)), path)).status_code == 200
    assert (await get(guarded(key_file(tmp_path)), path, "POST")).status_code == 401


async def test_a_named_request_passes_vllms_own_check(tmp_path: Path) -> None:
    server = guarded(key_file(tmp_path), VLLM_KEY)
    named = await get(server, "/v1/messages", x_api_key="right")
    assert named.json() == {"owner": "alice", "sent": f"Bearer {VLLM_KEY}"}
    own = await get(server, "/v1/messages", x_api_key=VLLM_KEY)
    assert own.json() == {"owner": "", "sent": f"Bearer {VLLM_KEY}"}


async def test_a_server_without_named_keys_leaves_the_check_to_vllm() -> None:
    assert (await get(guarded(None, VLLM_KEY), "/v1/messages", x_api_key="wrong")).json()["sent"] is None
    assert (await get(guarded(None), "/v1/messages")).status_code == 200


@pytest.mark.parametrize("fields", [{"models": '["tiny"]'}, {"tokens_per_minute": "10"}])
async def test_a_limited_key_is_refused_where_its_limits_would_not_hold(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    server = guarded(key_file(tmp_path, **fields))
    refused = await get(server, "/v1/completions", "POST", x_api_key="right")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert (await get(server, "/v1/messages/batches", x_api_key="right")).status_code == 200
    assert (await get(server, "/v1/messagesx", x_api_key="right")).status_code == 403


def test_a_websocket_needs_a_key_too(tmp_path: Path) -> None:
    client = TestClient(guarded(key_file(tmp_path)))
    with client.websocket_connect("/v1/realtime", headers={"x-api-key": "right"}):
        pass
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/v1/realtime"):
        pass
    assert closed.value.code == 1008
