"""Serves the routes with a fake engine and has schemathesis send requests made from their OpenAPI document.

schemathesis runs as a program of an environment of its own (`make fuzz` makes it): it brings a pytest plugin
that must not be in the tests' environment.
"""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuzz import tally
from fuzz.posting import REPLY
from support.loopback import free_port
from vllm_messages_plugin.http import count_tokens, messages, models
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

START_SECONDS = 30
CHECKS = "not_a_server_error"


class CountingApp:
    """Counts the status of every response of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                tally.count(message["status"])
            await send(message)

        await self._app(scope, receive, counting)


def document() -> dict[str, object]:
    """Return the OpenAPI document of the routes."""
    app = FastAPI()
    for part in (messages, count_tokens, models):
        app.include_router(part.router)
    return app.openapi()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the routes on a loopback port in a thread; yield the URL."""
    port = free_port()
    app = CountingApp(app_with(FakeEngine(REPLY), aliases="*"))
    config = uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait_until_up(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"{url}/v1/models", trust_env=False)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def run(program: Path, seed: int, examples: int, folder: Path) -> int:
    """Run schemathesis against the routes.

    Args:
        program: The `schemathesis` program.
        seed: The seed of what it draws.
        examples: How many requests it draws for each route and phase, at most.
        folder: Where the OpenAPI document is written.

    Returns:
        The program's exit status: 0 if no reply had a 5xx status.
    """
    described = folder / "openapi.json"
    described.write_text(json.dumps(document()), encoding="utf-8")
    with served() as url:
        options = [f"--url={url}", f"--checks={CHECKS}", f"--seed={seed}", f"--max-examples={examples}"]
        command = [str(program), "run", str(described), *options, "--phases=coverage,fuzzing"]
        return subprocess.run(command, cwd=folder).returncode
