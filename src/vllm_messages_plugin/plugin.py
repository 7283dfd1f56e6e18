"""The door: vLLM's two entry points, both named `messages`, and the one place where rooms are joined.

`register` runs in every vLLM process (`vllm.general_plugins`), so it imports nothing heavy and never
raises. `MessagesEndpoint` (`vllm.endpoint_plugins`) puts our routes into the API server.
"""

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.settings import Settings

log = logging.getLogger("vllm.messages")

NAME = "messages"
OFF = "VLLM_MESSAGES_ENABLED=0"
START_KEY = "_MESSAGES_START_KEY"
"""Carries a key made at the start to the processes of one server; vLLM would warn of a VLLM_ name."""


def register() -> None:
    """Let vLLM load our routes where the user has not said otherwise in VLLM_PLUGINS. Idempotent."""
    registration.register()
    try:
        # Every API server process of this one server must read the others' signatures.
        os.environ.setdefault(START_KEY, secrets.token_urlsafe(32))
        _load_unasked()
        _warn_of_rust()
    except Exception:
        log.exception("vllm-messages-plugin can't hook into this vLLM; vLLM starts without it")


def _load_unasked() -> None:
    """With VLLM_PLUGINS unset vLLM loads no endpoint plugin. Whoever installed this one asked for it."""
    import vllm.plugins as plugins

    original = plugins.load_endpoint_plugins
    if getattr(original, "_loads_messages", False):
        return

    def load_endpoint_plugins(*args: Any, **kwargs: Any) -> list[Any]:
        return [*_others(original, *args, **kwargs), *_ours()]

    load_endpoint_plugins._loads_messages = True  # type: ignore[attr-defined]
    plugins.load_endpoint_plugins = load_endpoint_plugins


def _ours() -> list["MessagesEndpoint"]:
    """Our endpoint, if VLLM_PLUGINS leaves the choice to us; a setting that makes no sense is logged."""
    try:
        if _allowed() is not None or not Settings().enabled:
            return []
    except Exception:
        log.exception("vllm-messages-plugin is not loaded")
        return []
    log.info("Serving the Anthropic Messages API (vllm-messages-plugin); %s switches it off", OFF)
    return [MessagesEndpoint()]


def _allowed() -> Sequence[str] | None:
    """VLLM_PLUGINS as vLLM reads it; None where it is unset."""
    from vllm import envs

    allowed: Sequence[str] | None = envs.VLLM_PLUGINS
    return allowed


def _others(original: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """What vLLM itself loads; it is not asked where it could only complain about us."""
    from importlib.metadata import entry_points

    names = {entry.name for entry in entry_points(group="vllm.endpoint_plugins")}
    if _allowed() is None and names <= {NAME}:
        return []
    return list(original(*args, **kwargs))


def _warn_of_rust() -> None:
    if os.environ.get("VLLM_USE_RUST_FRONTEND", "0") not in ("", "0"):
        log.warning(
            "VLLM_USE_RUST_FRONTEND is set: that front end loads no Python plugin, so no Messages API"
        )


class MessagesEndpoint:
    """vLLM's EndpointPlugin contract. Whatever fails in here, the server starts, if need be without us."""

    name = NAME
    required_tasks: tuple[str, ...] | None = ("generate",)

    def __init__(self) -> None:
        self._app: Any = None
        self._replaced: list[Any] = []  # vLLM's own routes, put back if we have to stand down

    def attach_router(self, app: Any) -> None:
        """Put our routes in the place of vLLM's, and our envelope around the whole app."""
        try:
            if Settings().enabled:
                self._attach(app)
            else:
                log.info("The Messages API of vllm-messages-plugin is switched off (%s)", OFF)
        except Exception:
            log.exception("vllm-messages-plugin can't attach to this vLLM; vLLM's own routes stay")
            self._stand_down()

    def _attach(self, app: Any) -> None:
        from vllm_messages_plugin.http import count_tokens, messages, models
        from vllm_messages_plugin.http.errors import ErrorMiddleware

        theirs = list(app.router.routes)
        self._app = app
        ours = [route for part in (messages, count_tokens, models) for route in part.router.routes]
        keys = {(route.path, method) for route in ours for method in route.methods}
        for route in theirs:
            methods = {method for path, method in keys if path == getattr(route, "path", None)}
            if methods & set(getattr(route, "methods", None) or ()):
                self._replaced.append(route)
                app.router.routes.remove(route)
        for part in (messages, count_tokens, models):
            app.include_router(part.router)
        build = app.build_middleware_stack
        app.build_middleware_stack = lambda: ErrorMiddleware(build(), lambda: _api_keys(app))

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        """Build what the routes work with."""
        if self._app is None:
            return
        try:
            state.messages_context = _service(engine_client, state, args)
        except Exception:
            log.exception("vllm-messages-plugin can't work with this vLLM; vLLM's own routes are back")
            self._stand_down()

    def _stand_down(self) -> None:
        app, self._app = self._app, None
        if app is None:
            return
        module = "vllm_messages_plugin.http"
        kept = [r for r in app.router.routes if not getattr(r, "endpoint", r).__module__.startswith(module)]
        app.router.routes[:] = self._replaced + kept


def _service(engine_client: Any, state: Any, args: Namespace) -> Any:
    from vllm import envs

    from vllm_messages_plugin.engine.backend import Backend
    from vllm_messages_plugin.http.ports import AppContext
    from vllm_messages_plugin.media.fetch import FetchRules, MiB
    from vllm_messages_plugin.translate.signature import signer

    settings = Settings()
    backend = Backend(engine_client, state, args, settings)
    fetch = FetchRules(
        allowed_domains=backend.media_domains,
        allow_redirects=bool(envs.VLLM_MEDIA_URL_ALLOW_REDIRECTS),
        allow_private=settings.fetch_private,
        max_bytes=settings.max_body_mb * MiB,
        max_total_bytes=4 * settings.max_body_mb * MiB,
    )
    return AppContext(backend, settings, signer(settings.signature_key or os.environ[START_KEY]), fetch)


def _api_keys(app: Any) -> list[str]:
    """The keys vLLM was started with: --api-key goes before VLLM_API_KEY, as in vLLM."""
    from vllm import envs

    return [key for key in (app.state.args.api_key or [envs.VLLM_API_KEY]) if key]
