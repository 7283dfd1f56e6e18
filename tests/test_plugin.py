"""When the endpoint plugin is loaded, and what happens when it can't be."""

import sys
import types
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from vllm_messages_plugin import composition, plugin
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.testing.fake_engine import FakeEngine
from vllm_messages_plugin.translate.signature import signer


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the two modules of vLLM that `plugin` imports; importing vLLM takes ten seconds."""
    package, plugins, envs = (types.ModuleType(name) for name in ("vllm", "vllm.plugins", "vllm.envs"))
    plugins.load_endpoint_plugins = lambda tasks=None: ["another plugin"]  # type: ignore[attr-defined]
    envs.VLLM_PLUGINS, envs.VLLM_API_KEY = None, None  # type: ignore[attr-defined]
    package.plugins, package.envs = plugins, envs  # type: ignore[attr-defined]
    for name, module in (("vllm", package), ("vllm.plugins", plugins), ("vllm.envs", envs)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv(composition.START_KEY, "x")
    return package


def loaded(vllm: Any, tasks: Sequence[str] | None = ("generate",)) -> list[Any]:
    return [each for each in vllm.plugins.load_endpoint_plugins(tasks) if each != "another plugin"]


def test_the_endpoint_is_loaded_once_however_often_register_runs(vllm: Any) -> None:
    for _ in range(3):
        plugin.register()
    assert [each.name for each in loaded(vllm)] == ["messages"]


def test_vllm_plugins_overrides_loading_by_default(vllm: Any) -> None:
    plugin.register()
    vllm.envs.VLLM_PLUGINS = ["another"]
    assert vllm.plugins.load_endpoint_plugins(("generate",)) == ["another plugin"]


@pytest.mark.parametrize("value", ["0", "false"])
def test_a_setting_turns_the_plugin_off(vllm: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plugin.register()
    monkeypatch.setenv("VLLM_MESSAGES_ENABLED", value)
    assert loaded(vllm) == []


def test_an_invalid_setting_stops_the_plugin_and_not_the_server(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.register()
    monkeypatch.setenv("VLLM_MESSAGES_MAX_BODY_MB", "many")
    assert loaded(vllm) == []
    assert "max_body_mb" in caplog.text.lower()


def test_a_vllm_without_the_loader_starts_without_the_plugin(
    vllm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    del vllm.plugins.load_endpoint_plugins
    plugin.register()
    assert "vLLM starts without it" in caplog.text


def test_a_warning_is_logged_for_the_rust_front_end(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "1")
    plugin.register()
    assert "loads no Python plugin" in caplog.text


def vllm_app() -> FastAPI:
    app = FastAPI()
    app.state.args = Namespace(
        api_key=None,
        allowed_origins=["*"],
        allow_credentials=False,
        allowed_methods=["*"],
        allowed_headers=["*"],
    )

    @app.post("/v1/messages")
    async def native() -> str:
        return "vLLM's own"

    return app


def endpoints(app: FastAPI) -> list[str]:
    return [r.endpoint.__module__ for r in app.routes if getattr(r, "path", None) == "/v1/messages"]


def test_the_plugins_routes_replace_vllms(vllm: Any) -> None:
    app = vllm_app()
    plugin.MessagesEndpoint().attach_router(app)
    assert endpoints(app) == ["vllm_messages_plugin.http.messages"]


async def test_vllms_routes_are_restored_when_the_context_cannot_be_built(
    vllm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, endpoint = vllm_app(), plugin.MessagesEndpoint()
    endpoint.attach_router(app)
    await endpoint.init_state(object(), app.state, app.state.args)
    assert endpoints(app) == [__name__]
    assert "vLLM's own routes are back" in caplog.text


def test_an_app_without_routes_is_left_alone(vllm: Any, caplog: pytest.LogCaptureFixture) -> None:
    plugin.MessagesEndpoint().attach_router(object())
    assert "can't attach" in caplog.text


@pytest.mark.parametrize("tasks", [("embed",), ("classify", "score"), (), None])
def test_a_server_that_does_not_generate_loads_no_endpoint(vllm: Any, tasks: Any) -> None:
    plugin.register()
    assert loaded(vllm, tasks) == []


def test_the_settings_are_read_when_the_endpoint_is_loaded_and_not_again(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.register()
    (endpoint,) = loaded(vllm)
    monkeypatch.setenv("VLLM_MESSAGES_MAX_BODY_MB", "many")
    app = vllm_app()
    endpoint.attach_router(app)
    assert endpoints(app) == ["vllm_messages_plugin.http.messages"]
    assert "can't attach" not in caplog.text


async def get_unknown_path(app: FastAPI) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        return await client.get("/v1/messages/none")


async def test_vllms_errors_are_left_alone_when_the_context_cannot_be_built(vllm: Any) -> None:
    app, endpoint = vllm_app(), plugin.MessagesEndpoint()
    endpoint.attach_router(app)
    app.middleware_stack = app.build_middleware_stack()  # as vLLM does, before init_state
    await endpoint.init_state(object(), app.state, app.state.args)
    response = await get_unknown_path(app)
    assert response.json() == {"detail": "Not Found"}
    assert "request-id" not in response.headers


async def test_vllms_errors_are_translated_once_the_context_is_built(
    vllm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = AppContext(FakeEngine(), Settings(), signer("test"))
    monkeypatch.setattr(plugin, "build_context", lambda *_: context)
    app, endpoint = vllm_app(), plugin.MessagesEndpoint()
    endpoint.attach_router(app)
    app.middleware_stack = app.build_middleware_stack()
    await endpoint.init_state(object(), app.state, app.state.args)
    response = await get_unknown_path(app)
    assert response.json()["error"]["type"] == "not_found_error"
    assert response.headers["request-id"] == response.json()["request_id"]


@pytest.mark.parametrize(
    ("setting", "vllm_limit", "processes", "expected"),
    [
        (None, None, 1, 32),
        (None, None, 3, 11),
        (None, 10, 1, 10),
        (None, 0, 1, 1),
        (0, 10, 1, 8),
        (5, None, 1, 13),
        (0, None, 100, 1),
    ],
)
def test_the_limit_on_requests_in_flight(
    setting: int | None, vllm_limit: int | None, processes: int, expected: int
) -> None:
    engine = FakeEngine(max_running=8, max_in_flight=vllm_limit)
    assert composition.admission_limit(engine, Settings(max_queued_requests=setting), processes) == expected


def test_an_unusable_keys_file_keeps_the_server_from_starting(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VLLM_MESSAGES_KEYS", str(tmp_path / "missing.toml"))
    with pytest.raises(RuntimeError, match="VLLM_MESSAGES_KEYS is set"):
        plugin.MessagesEndpoint().attach_router(vllm_app())


async def test_a_server_with_keys_never_starts_open(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text("")
    monkeypatch.setenv("VLLM_MESSAGES_KEYS", str(keys))
    app, endpoint = vllm_app(), plugin.MessagesEndpoint()
    endpoint.attach_router(app)
    with pytest.raises(RuntimeError, match="would be open"):
        await endpoint.init_state(object(), app.state, app.state.args)
    monkeypatch.setenv("VLLM_MESSAGES_ENABLED", "0")
    with pytest.raises(RuntimeError, match="would be open"):
        plugin.MessagesEndpoint().attach_router(vllm_app())
    plugin.register()
    with pytest.raises(RuntimeError, match="would be open"):
        loaded(vllm)
