"""An ASGI middleware that vLLM loads by name (`--middleware attack.probe.Probe`): event loop stalls.

A task on the loop sleeps for a few milliseconds, over and over. The CPU time that the process used between
two of its wake-ups is a stall: work on the loop itself, or in a thread that kept the interpreter's lock. It
is not wall time, because on a busy machine the process waits for the processor as well. Threads that work
without the lock, as a tokenizer does, add to it. `GET /attack-stall` returns the longest stall since the
last call, in milliseconds of CPU and of wall time.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from typing import Any

PATH = "/attack-stall"
PAUSE = 0.005
SAMPLE = "ATTACK_STACKS"
"""With this environment variable the server's log shows the stack of the event loop while it stalls."""
SAMPLED_STALL = 0.05  # seconds
SAMPLED_FRAMES = 8


class Watchdog:
    """The longest stalls of one event loop, in milliseconds."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0
        self.woke = time.perf_counter()

    async def run(self) -> None:
        while True:
            cpu, wall = time.process_time(), time.perf_counter()
            self.woke = wall
            await asyncio.sleep(PAUSE)
            self.cpu = max(self.cpu, (time.process_time() - cpu) * 1000)
            self.wall = max(self.wall, (time.perf_counter() - wall - PAUSE) * 1000)

    def take(self) -> bytes:
        found = json.dumps({"cpu": self.cpu, "wall": self.wall}).encode()
        self.cpu = self.wall = 0.0
        return found


class StackSampler(threading.Thread):
    """Prints where the event loop's thread is while it stalls, to find the cause."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__(daemon=True)
        self._watchdog = watchdog
        self._loop_thread = threading.get_ident()

    def run(self) -> None:
        while True:
            time.sleep(PAUSE)
            if time.perf_counter() - self._watchdog.woke > SAMPLED_STALL:
                stack = traceback.format_stack(sys._current_frames()[self._loop_thread])
                print(f"STALLED {''.join(stack[-SAMPLED_FRAMES:])}", file=sys.stderr, flush=True)


class Probe:
    """Wraps the app; the watchdog starts with the first call of its path."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._watchdog = Watchdog()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        if self._task is None:
            self._task = asyncio.create_task(self._watchdog.run())
            if os.environ.get(SAMPLE):
                StackSampler(self._watchdog).start()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self._watchdog.take()})
