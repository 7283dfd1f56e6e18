"""Who owns what a request stores and finds: the API key that it was authenticated with.

A named key owns by its name, so that its secret can be replaced. Of a key that vLLM was started with only the
digest is kept. A server without keys has one owner.
"""

from typing import Final

from fastapi import Request
from starlette.types import Scope

from vllm_messages_plugin.access.keys import Caller, digest_of

OWNER_KEY: Final = "messages_owner"
"""Where a request's scope state holds its owner."""
ANONYMOUS: Final = "anonymous"


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
        owner = f"name_{caller.name}"
    scope.setdefault("state", {})[OWNER_KEY] = owner


def owner_of(request: Request) -> str:
    """Return the owner of a request."""
    owner: str = getattr(request.state, OWNER_KEY, ANONYMOUS)
    return owner
