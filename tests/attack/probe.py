"""An ASGI middleware that vLLM loads by name (`--middleware attack.probe.Probe`): event loop stalls.

A task on the loop sleeps for a few milliseconds, over and over. A stall is the time between two of its
wake-ups in which the loop's thread ran, or waited for the interpreter's lock while another thread ran. On a
busy machine the process waits for the processor as well, which is no stall. So two bounds are taken, and the
lower one is the stall:

- the CPU time of the process; threads that work without the lock, as a tokenizer does, add to it;
- the wall time, less the time in which the kernel had no processor for the loop's thread.

`GET /attack-stall` returns the longest stall since the last call, in milliseconds, and the longest wall time.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

PATH = "/attack-stall"
PAUSE = 0.005
SAMPLE = "ATTACK_STACKS"
"""With this environment variable the server's log shows the stacks of all threads when the loop stalls."""
SAMPLED_STALL = 0.05  # seconds
SAMPLED_FRAMES = 8


class Watchdog:
    """The longest stalls of the event loop of the thread that makes it, in milliseconds."""

    def __init__(self) -> None:
        self.stall = 0.0
        self.wall = 0.0
        self.woke = time.perf_counter()
        self._schedstat = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    async def run(self) -> None:
        while True:
            cpu, wall, waited = time.process_time(), time.perf_counter(), self._waited()
            self.woke = wall
            await asyncio.sleep(PAUSE)
            late = time.perf_counter() - wall - PAUSE
            stalled = min(time.process_time() - cpu, late - (self._waited() - waited))
            self.stall, self.wall = max(self.stall, stalled * 1000), max(self.wall, late * 1000)

    def _waited(self) -> float:
        """How long the loop's thread has waited for a processor, in seconds."""
        return int(self._schedstat.read_text(encoding="ascii").split()[1]) / 1e9

    def take(self) -> bytes:
        found = json.dumps({"stall": self.stall, "wall": self.wall}).encode()
        self.stall = self.wall = 0.0
        return found


class StackSampler(threading.Thread):
    """Prints what all threads do while the event loop stalls, to find the cause."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(daemon=True)
        self._watchdog = watchdog

    def run(self) -> None:
        while True:
            time.sleep(PAUSE)
            if time.perf_counter() - self._watchdog.woke > SAMPLED_STALL:
                for frame in sys._current_frames().values():
                    stack = traceback.format_stack(frame)
                    print(f"STALLED {''.join(stack[-SAMPLED_FRAMES:])}", file=sys.stderr, flush=True)


class Probe:
    """Wraps the app; the watchdog starts with the first call of its path."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._watchdog: Watchdog | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        if self._watchdog is None:
            self._watchdog = Watchdog()
            self._task = asyncio.create_task(self._watchdog.run())
            if os.environ.get(SAMPLE):
                StackSampler(self._watchdog).start()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self._watchdog.take()})
