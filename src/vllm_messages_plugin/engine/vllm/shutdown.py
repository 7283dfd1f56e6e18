"""Gives vLLM's API server processes time to end their streams when the server is stopped.

With `--api-server-count` above one, a parent process stops the API servers: it sends SIGTERM and, without
`--shutdown-timeout`, SIGKILL at once, so that clients see a connection that breaks within an event. A single
API server is not killed; it stops the engine, upon which each stream ends with an `error` event.
"""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

log = logging.getLogger("vllm.messages")

GRACE_SECONDS = 5.0
"""How long the parent waits at most. Processes that end sooner, as they do, are not waited for."""

MODULE = "vllm.v1.utils"
MANAGER = "APIServerProcessManager"


def give_api_servers_time() -> None:
    """Make vLLM's parent process wait for its API servers before it kills them. Idempotent.

    Does nothing in processes that never loaded the manager of API servers.
    """
    manager = getattr(sys.modules.get(MODULE), MANAGER, None)
    if manager is None or getattr(manager.shutdown, "_waits", False):
        return
    manager.shutdown = _waiting(manager.shutdown)


def _waiting(shutdown: Callable[..., None]) -> Callable[..., None]:
    @wraps(shutdown)
    def wait(self: Any, timeout: float | None = None) -> None:
        shutdown(self, timeout=timeout if timeout is None else max(timeout, GRACE_SECONDS))

    wait._waits = True  # type: ignore[attr-defined]
    return wait
