"""An ASGI middleware that vLLM loads by name (`--middleware soak.probe.Probe`): `GET /soak-probe`.

It returns what the API server's process holds: resident memory, asyncio tasks, file descriptors and threads.
Garbage is collected first, so that only what is still referenced counts.
"""

import asyncio
import gc
import json
import os
import threading
from pathlib import Path
from typing import Any

PATH = "/soak-probe"


def held() -> dict[str, int]:
    """Return the memory in KiB, and the number of tasks, file descriptors and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return {
        "rss_kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "tasks": len(asyncio.all_tasks()),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
    }


class Probe:
    """Wraps the server's app and answers one path."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(held()).encode()})
