"""Finds out who sends a request, by the named keys and the keys that vLLM was started with.

With named keys every path needs a key but those in OPEN_PATHS, which probes and scrapers read. The inner
authentication of vLLM knows its own --api-key alone, so a request with a named key goes on with that one.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import ANYBODY, Caller
from vllm_messages_plugin.http.headers import is_one_of
from vllm_messages_plugin.http.owner import assign_owner
from vllm_messages_plugin.wire.errors import MessagesError

CALLER_KEY: Final = "messages_caller"
"""Where a request's scope state holds its `Caller`."""

OPEN_PATHS: Final = frozenset(
    {"/", "/api/hello", "/health", "/ping", "/version", "/metrics", "/metrics/", "/load"}
)
MESSAGES_PATHS: Final = ("/v1/messages", "/v1/models", "/v1/files")

INVALID_KEY: Final = "invalid x-api-key"


def caller_of(request: Request) -> Caller:
    """Return who sent a request. `caller_of(request).name` owns what the request stores."""
    caller: Caller = getattr(request.state, CALLER_KEY, ANYBODY)
    return caller


class AccessControl:
    """Decides which requests have a valid key."""

    def __init__(self, key_file: KeyFile | None, vllm_keys: Callable[[], Sequence[str]]) -> None:
        """Create the control.

        Args:
            key_file: The named keys; None if the server has none.
            vllm_keys: Returns the keys that vLLM was started with.
        """
        self._key_file = key_file
        self._vllm_keys = vllm_keys

    def identify(self, scope: Scope, path: str) -> Caller:
        """Find out who sends a request, store it in the scope and prepare the headers for vLLM's own check.

        Args:
            scope: The scope of an HTTP or websocket request.
            path: Its path, without the root path.

        Raises:
            MessagesError: 401, there is no valid key; 403, the key's limits can't be held on this route.
        """
        presented = presented_keys(scope)
        vllm_keys = self._vllm_keys()
        caller = ANYBODY
        own = next((key for key in presented if is_one_of(key, vllm_keys)), None)
        if own is not None:
            _set_bearer(scope, own)
        elif self._key_file is not None:
            caller = self._named(self._key_file, presented, path, scope.get("method", ""))
            if caller.key is not None and vllm_keys:
                _set_bearer(scope, vllm_keys[0])
        scope.setdefault("state", {})[CALLER_KEY] = caller
        assign_owner(scope, own, caller)
        return caller

    def _named(self, key_file: KeyFile, presented: Sequence[str], path: str, method: str) -> Caller:
        ring, now = key_file.ring(), datetime.now(UTC)
        key = next((found for value in presented if (found := ring.find(value, now)) is not None), None)
        if key is not None:
            if key.limits_routes and not _is_open(path, method) and not _is_messages_path(path):
                raise MessagesError("permission_error", ROUTE_REFUSED)
            return Caller(key.name, key)
        if not _is_open(path, method):
            raise MessagesError("authentication_error", INVALID_KEY)
        return ANYBODY


ROUTE_REFUSED: Final = (
    "Your API key is limited to certain models or to a number of tokens, so it may use the Messages API only"
)


def _is_open(path: str, method: str) -> bool:
    return method == "OPTIONS" or (method in ("GET", "HEAD") and path in OPEN_PATHS)


def _is_messages_path(path: str) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in MESSAGES_PATHS)


def presented_keys(scope: Scope) -> list[str]:
    """Return the keys in `x-api-key` and in `Authorization: Bearer`; clients may send both."""
    headers = Headers(scope=scope)
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = [headers.get("x-api-key", ""), bearer if scheme.lower() == "bearer" else ""]
    return [key for key in found if key]


def _set_bearer(scope: Any, key: str) -> None:
    scope["headers"] = list(scope["headers"])
    MutableHeaders(scope=scope)["authorization"] = f"Bearer {key}"
