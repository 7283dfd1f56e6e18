"""Request ids, `anthropic-beta` values and API keys: what is read from headers or put into them."""

import secrets
from collections.abc import Iterable, MutableMapping
from typing import Any

from fastapi import Request

from vllm_messages_plugin.access.keys import digest_of
from vllm_messages_plugin.wire.errors import new_request_id

STATE_KEY = "messages_request_id"


def assign_request_id(scope: MutableMapping[str, Any], request_id: str) -> None:
    """Store the request's id in the ASGI scope."""
    scope.setdefault("state", {})[STATE_KEY] = request_id


def request_id_of(request: Request) -> str:
    """Return the request's id; a new one if the middleware assigned none."""
    found: str = getattr(request.state, STATE_KEY, "") or new_request_id()
    return found


def beta_names(request: Request) -> set[str]:
    """Return the values of all `anthropic-beta` headers. Unknown values are never refused."""
    values = request.headers.getlist("anthropic-beta")
    return {beta.strip() for value in values for beta in value.split(",")}


def is_one_of(key: str, valid_keys: Iterable[str]) -> bool:
    """Return whether a key is among the valid ones; each is compared in constant time."""
    matches = [secrets.compare_digest(digest_of(key), digest_of(valid)) for valid in valid_keys]
    return any(matches)
