"""vLLM's two entry points, both named `messages`.

`register` runs in every vLLM process (`vllm.general_plugins`). It imports nothing heavy and never raises.
`MessagesEndpoint` (`vllm.endpoint_plugins`) puts this plugin's routes into the API server. Whatever fails in
it is logged, and vLLM's own routes stay.
"""

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm_messages_plugin.composition import START_KEY, batch_worker, build_accounting, build_context
from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.engine.vllm import shutdown
from vllm_messages_plugin.settings import Settings

if TYPE_CHECKING:
    from starlette.middleware.cors import CORSMiddleware
    from starlette.types import ASGIApp, Receive, Scope, Send

    from vllm_messages_plugin.access.accounting import Accounting
    from vllm_messages_plugin.access.key_file import KeyFile
    from vllm_messages_plugin.http.early_refusal import EarlyRefusal
    from vllm_messages_plugin.http.ports import AppContext

log = logging.getLogger("vllm.messages")

NAME = "messages"
OFF = "VLLM_MESSAGES_ENABLED=0"
KEYS = "VLLM_MESSAGES_KEYS"
KEEP_ALIVE = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"
"""vLLM's own variable for how long it keeps a connection between two requests."""
CONTEXT = "messages_context"
"""Where `http.ports.app_context` finds the context in `app.state`."""


def register() -> None:
    """Make vLLM load this plugin's routes where VLLM_PLUGINS is unset. Idempotent; never raises."""
    registration.register()
    try:
        # All API server processes of one server must read each other's signatures.
        os.environ.setdefault(START_KEY, secrets.token_urlsafe(32))
        _load_by_default()
        shutdown.give_api_servers_time()
        _warn_about_rust_front_end()
    except Exception:
        log.exception("vllm-messages-plugin can't hook into this vLLM; vLLM starts without it")


def _load_by_default() -> None:
    """Wrap vLLM's loader of endpoint plugins, which loads none while VLLM_PLUGINS is unset."""
    import vllm.plugins as plugins

    original = plugins.load_endpoint_plugins
    if getattr(original, "_loads_messages", False):
        return

    def load_endpoint_plugins(supported_tasks: Sequence[str] | None = None) -> list[Any]:
        return [*_load_others(original, supported_tasks), *_load_messages(supported_tasks)]

    load_endpoint_plugins._loads_messages = True  # type: ignore[attr-defined]
    plugins.load_endpoint_plugins = load_endpoint_plugins


def _load_messages(supported_tasks: Sequence[str] | None) -> list["MessagesEndpoint"]:
    """This plugin's endpoint, unless VLLM_PLUGINS is set, the settings are off or wrong, or no task fits."""
    try:
        if _allowed_plugins() is not None:
            return []
        settings = Settings()
    except Exception as error:
        log.exception("vllm-messages-plugin is not loaded")
        _refuse_unguarded_start(error)
        return []
    if not settings.enabled or not _serves_a_required_task(supported_tasks):
        _refuse_unguarded_start(None)
        return []
    log.info("Serving the Anthropic Messages API (vllm-messages-plugin); %s turns it off", OFF)
    return [MessagesEndpoint(settings)]


def _refuse_unguarded_start(cause: Exception | None) -> None:
    """Stop the server if it has a keys file that nothing would enforce.

    Raises:
        RuntimeError: VLLM_MESSAGES_KEYS is set.
    """
    if os.environ.get(KEYS):
        raise RuntimeError(
            f"{KEYS} is set, but vllm-messages-plugin, which checks the keys, is off or can't work with this "
            "server; the reason is in the log above. The server does not start, because it would be open"
        ) from cause


def _serves_a_required_task(supported_tasks: Sequence[str] | None) -> bool:
    """vLLM's own rule for loading an endpoint plugin; embedding servers, for one, don't generate."""
    required = MessagesEndpoint.required_tasks
    if required is None or set(required) & set(supported_tasks or ()):
        return True
    log.info(
        "vllm-messages-plugin is not loaded: it needs the task %s, this server has %s",
        *(", ".join(tasks or ()) for tasks in (required, supported_tasks)),
    )
    return False


def _allowed_plugins() -> Sequence[str] | None:
    """VLLM_PLUGINS as vLLM reads it; None if it is unset."""
    from vllm import envs

    allowed: Sequence[str] | None = envs.VLLM_PLUGINS
    return allowed


def _load_others(original: Any, supported_tasks: Sequence[str] | None) -> list[Any]:
    """Other endpoint plugins, through vLLM's loader, which would only log a warning about this plugin."""
    from importlib.metadata import entry_points

    names = {entry.name for entry in entry_points(group="vllm.endpoint_plugins")}
    if _allowed_plugins() is None and names <= {NAME}:
        return []
    return list(original(supported_tasks))


def _warn_about_rust_front_end() -> None:
    if os.environ.get("VLLM_USE_RUST_FRONTEND", "0") not in ("", "0"):
        log.warning(
            "VLLM_USE_RUST_FRONTEND is set: that front end loads no Python plugin, so no Messages API"
        )


class MessagesEndpoint:
    """Implements vLLM's EndpointPlugin contract. No failure in it keeps the server from starting."""

    name = NAME
    required_tasks: tuple[str, ...] | None = ("generate",)

    def __init__(self, settings: Settings | None = None) -> None:
        """vLLM calls this without arguments; the environment is then read when the routes are attached."""
        self._settings = settings
        self._app: Any = None
        self._key_file: KeyFile | None = None
        self._replaced_routes: list[Any] = []  # vLLM's own, restored if the context can't be built

    def attach_router(self, app: Any) -> None:
        """Replace vLLM's Messages routes and put the error middleware around the app."""
        try:
            self._settings = self._settings or Settings()
            if self._settings.enabled:
                self._attach(app)
            else:
                log.info("The Messages API of vllm-messages-plugin is turned off (%s)", OFF)
                _refuse_unguarded_start(None)
        except Exception as error:
            log.exception("vllm-messages-plugin can't attach to this vLLM; vLLM's own routes stay")
            self._stand_down()
            _refuse_unguarded_start(error)

    def _attach(self, app: Any) -> None:
        from vllm_messages_plugin.access.key_file import KeyFile
        from vllm_messages_plugin.http import batches, count_tokens, files, messages, models

        assert self._settings is not None
        if self._settings.keys:
            self._key_file = KeyFile(Path(self._settings.keys))
        routers: list[Any] = [module.router for module in (messages, count_tokens, models, files, batches)]
        existing_routes = list(app.router.routes)
        build = app.build_middleware_stack
        self._app = app
        added = [route for router in routers for route in router.routes]
        served = {(route.path, method) for route in added for method in route.methods}
        for route in existing_routes:
            methods = {method for path, method in served if path == getattr(route, "path", None)}
            if methods & set(getattr(route, "methods", None) or ()):
                self._replaced_routes.append(route)
                app.router.routes.remove(route)
        for router in routers:
            app.include_router(router)
        # vLLM builds the stack before it calls init_state, so the choice is made per request.
        app.build_middleware_stack = lambda: _OuterMiddleware(app, build(), self._key_file)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        """Build the context that the routes work with; restore vLLM's routes if that fails."""
        if self._app is None or self._settings is None:
            return
        try:
            context = build_context(engine_client, state, args, self._settings)
            setattr(state, CONTEXT, replace(context, cors=_cors(self._app, args)))
        except Exception as error:
            log.exception("vllm-messages-plugin can't work with this vLLM; vLLM's own routes are back")
            self._stand_down()
            _refuse_unguarded_start(error)

    def _stand_down(self) -> None:
        app, self._app = self._app, None
        if app is None:
            return
        module = "vllm_messages_plugin.http"
        kept = [r for r in app.router.routes if not getattr(r, "endpoint", r).__module__.startswith(module)]
        app.router.routes[:] = self._replaced_routes + kept


class _OuterMiddleware:
    """The outermost ASGI layer: the error middleware once the context is built, else vLLM's stack alone."""

    def __init__(self, app: Any, stack: "ASGIApp", key_file: "KeyFile | None") -> None:
        self._app = app
        self._key_file = key_file
        self._stack = stack
        self._outermost: ASGIApp | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self._outermost is None:
            context = getattr(self._app.state, CONTEXT, None)
            self._outermost = self._stack if context is None else self._around(self._stack, context, scope)
        await self._outermost(scope, receive, send)

    def _around(self, stack: "ASGIApp", context: "AppContext", scope: "Scope") -> "ASGIApp":
        accounting = build_accounting(context, self._key_file, self._app.state.args)
        if scope["type"] == "lifespan":  # the server does not listen yet
            refuse = None if self._key_file is not None else _early_refusal(context, accounting)
            _harden_connections(self._app.state, context.settings, refuse)
        return self._error_middleware(stack, context, accounting)

    def _error_middleware(
        self, stack: "ASGIApp", context: "AppContext", accounting: "Accounting"
    ) -> "ASGIApp":
        from vllm_messages_plugin.http.access_control import AccessControl
        from vllm_messages_plugin.http.background import WithBackground
        from vllm_messages_plugin.http.errors import ErrorMiddleware

        access = AccessControl(self._key_file, lambda: _api_keys(self._app))
        app = ErrorMiddleware(stack, access, context.admission, context.cors, accounting)
        processes = getattr(self._app.state.args, "api_server_count", None) or 1
        worker = batch_worker(self._app, context, accounting, self._key_file, processes)
        return app if worker is None else WithBackground(app, worker.run)


def _early_refusal(context: "AppContext", accounting: "Accounting") -> "EarlyRefusal":
    """What refuses requests without named keys, which need no look at who sends them."""
    from vllm_messages_plugin.http.early_refusal import EarlyRefusal

    return EarlyRefusal(context.admission, accounting)


def _harden_connections(state: Any, settings: Settings, refuse: "EarlyRefusal | None") -> None:
    """Limit what connections may cost the HTTP server, and keep idle ones for longer than clients do."""
    from vllm_messages_plugin.http.arrivals import spread_arrivals
    from vllm_messages_plugin.http.head_limit import limit_heads
    from vllm_messages_plugin.http.header_timeout import limit_header_time
    from vllm_messages_plugin.http.idle_connections import keep_idle_connections
    from vllm_messages_plugin.http.write_timeout import PATIENCE, limit_write_time

    server = getattr(state, "server", None)
    limit_heads(server)
    if KEEP_ALIVE not in os.environ:
        keep_idle_connections(server)
    if settings.slow_request_seconds:
        limit_header_time(server, settings.slow_request_seconds)
        limit_write_time(server, PATIENCE * settings.slow_request_seconds)
    spread_arrivals(server, refuse)


def _cors(app: "ASGIApp", args: Namespace) -> "CORSMiddleware":
    """The CORS rules that vLLM was started with; its own CORS layer is inside its authentication."""
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=args.allowed_origins,
        allow_credentials=args.allow_credentials,
        allow_methods=args.allowed_methods,
        allow_headers=args.allowed_headers,
    )


def _api_keys(app: Any) -> list[str]:
    """The keys that vLLM was started with: --api-key overrides VLLM_API_KEY, as in vLLM."""
    from vllm import envs

    return [key for key in (app.state.args.api_key or [envs.VLLM_API_KEY]) if key]
