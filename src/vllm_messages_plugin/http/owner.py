"""Who owns what a request stores and finds: the API key that it was authenticated with.

A named key owns by its name, so that its secret can be replaced. Of a key that vLLM was started with only the
digest is kept. A server without keys has one owner.
"""

from datetime import datetime
from typing import Final

from fastapi import Request
from starlette.types import Scope

from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.access.keys import ANYBODY, Caller, digest_of
from vllm_messages_plugin.wire.errors import MessagesError

OWNER_KEY: Final = "messages_owner"
"""Where a request's scope state holds its owner."""
ANONYMOUS: Final = "anonymous"
NAMED: Final = "name_"
"""How the owner of a named key begins."""


def assign_owner(scope: Scope, vllm_key: str | None, caller: Caller) -> None:
    """Store the owner of a request in its scope.

    Args:
        scope: The request.
        vllm_key: The key of vLLM's own that it presented; None without one.
        caller: The named key that it presented.
    """
    owner = ANONYMOUS
    if vllm_key is not None:
        owner = f"key_{digest_of(vllm_key).hex()}"
    elif caller.key is not None:
        owner = f"{NAMED}{caller.name}"
    scope.setdefault("state", {})[OWNER_KEY] = owner


def caller_of_owner(owner: str, key_file: KeyFile | None, now: datetime) -> Caller:
    """Return as whom an owner's batch items run.

    Args:
        owner: The owner, as `owner_of` returned it.
        key_file: The named keys; None if the server has none.
        now: The time.

    Raises:
        MessagesError: 401, there is no valid key of the owner's name any more.
    """
    if not owner.startswith(NAMED):
        return ANYBODY
    name = owner.removeprefix(NAMED)
    keys = key_file.ring().keys if key_file is not None else ()
    key = next((key for key in keys if key.name == name and not key.expired(now)), None)
    if key is None:
        raise MessagesError("authentication_error", f"The API key {name} is no longer valid")
    return Caller(key.name, key)


def owner_of(request: Request) -> str:
    """Return the owner of a request."""
    owner: str = getattr(request.state, OWNER_KEY, ANONYMOUS)
    return owner
