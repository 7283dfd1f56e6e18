"""The door: when our endpoint is loaded, and what happens when it can't be."""

import sys
import types
from argparse import Namespace
from typing import Any

import pytest
from fastapi import FastAPI

from vllm_messages_plugin import plugin


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the two modules of vLLM that the door touches; importing vLLM takes ten seconds."""
    package, plugins, envs = (types.ModuleType(name) for name in ("vllm", "vllm.plugins", "vllm.envs"))
    plugins.load_endpoint_plugins = lambda tasks=None: ["theirs"]  # type: ignore[attr-defined]
    envs.VLLM_PLUGINS, envs.VLLM_API_KEY = None, None  # type: ignore[attr-defined]
    package.plugins, package.envs = plugins, envs  # type: ignore[attr-defined]
    for name, module in (("vllm", package), ("vllm.plugins", plugins), ("vllm.envs", envs)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv(plugin.START_KEY, "x")
    return package


def loaded(vllm: Any) -> list[Any]:
    return [each for each in vllm.plugins.load_endpoint_plugins(("generate",)) if each != "theirs"]


def test_unasked_we_are_loaded_once_however_often_we_register(vllm: Any) -> None:
    for _ in range(3):
        plugin.register()
    assert [each.name for each in loaded(vllm)] == ["messages"]


def test_vllm_plugins_has_the_last_word(vllm: Any) -> None:
    plugin.register()
    vllm.envs.VLLM_PLUGINS = ["another"]
    assert vllm.plugins.load_endpoint_plugins(("generate",)) == ["theirs"]


@pytest.mark.parametrize("value", ["0", "false"])
def test_we_can_be_switched_off(vllm: Any, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plugin.register()
    monkeypatch.setenv("VLLM_MESSAGES_ENABLED", value)
    assert loaded(vllm) == []


def test_a_setting_without_sense_stops_us_and_not_the_server(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.register()
    monkeypatch.setenv("VLLM_MESSAGES_MAX_BODY_MB", "many")
    assert loaded(vllm) == []
    assert "max_body_mb" in caplog.text.lower()


def test_a_vllm_of_another_shape_starts_without_us(vllm: Any, caplog: pytest.LogCaptureFixture) -> None:
    del vllm.plugins.load_endpoint_plugins
    plugin.register()
    assert "vLLM starts without it" in caplog.text


def test_the_rust_front_end_is_warned_of(
    vllm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "1")
    plugin.register()
    assert "loads no Python plugin" in caplog.text


def vllms_app() -> FastAPI:
    app = FastAPI()
    app.state.args = Namespace(api_key=None)

    @app.post("/v1/messages")
    async def native() -> str:
        return "vLLM's own"

    return app


def endpoints(app: FastAPI) -> list[str]:
    return [r.endpoint.__module__ for r in app.routes if getattr(r, "path", None) == "/v1/messages"]


def test_our_routes_take_the_place_of_vllms(vllm: Any) -> None:
    app = vllms_app()
    plugin.MessagesEndpoint().attach_router(app)
    assert endpoints(app) == ["vllm_messages_plugin.http.messages"]


async def test_vllms_routes_come_back_when_its_engine_is_not_what_we_know(
    vllm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, endpoint = vllms_app(), plugin.MessagesEndpoint()
    endpoint.attach_router(app)
    await endpoint.init_state(object(), app.state, app.state.args)
    assert endpoints(app) == [__name__]
    assert "vLLM's own routes are back" in caplog.text


def test_an_app_of_another_shape_is_left_alone(vllm: Any, caplog: pytest.LogCaptureFixture) -> None:
    plugin.MessagesEndpoint().attach_router(object())
    assert "can't attach" in caplog.text
