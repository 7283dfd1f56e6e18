"""Keeps connections open between two requests for longer than clients do.

The side that closes an idle connection should be the client. Where the server does, a request may be on its
way, and its client gets a reset connection instead of a reply. vLLM's server closes after 5 s, just when
httpx does, the HTTP client of Anthropic's Python SDK.
"""

from typing import Any, Final

IDLE_SECONDS: Final = 120
"""Longer than clients keep an idle connection: httpx 5 s, nginx and AWS load balancers 60 s, Go 90 s."""


def keep_idle_connections(server: Any, seconds: int = IDLE_SECONDS) -> None:
    """Make a uvicorn server that does not listen yet keep idle connections.

    Args:
        server: The `uvicorn.Server`.
        seconds: For how long at least; a server that keeps them for longer is left as it is.
    """
    config: Any = getattr(server, "config", None)
    if isinstance(getattr(config, "timeout_keep_alive", None), int):
        config.timeout_keep_alive = max(config.timeout_keep_alive, seconds)
