"""A server that runs batches with a fake engine, as a process that a test can kill.

    python -m support.batch_server PORT DIRECTORY [POSTGRESQL_URL]

Its engine takes a moment for each reply and repeats the text of the last message; after `sleep SECONDS` it
takes so long.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from support.loopback import HOST, free_port, wait_until_it_listens
from vllm_messages_plugin.store.opening import StoreOptions, open_store
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakePrompt, Pause, app_with
from vllm_messages_plugin.testing.replies import text_reply
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.work.worker import WorkerOptions

REPLY_SECONDS = 0.05
CLAIM_SECONDS = 2.0
"""How long the claims of threads hold."""
OPTIONS = WorkerOptions(concurrency=4, lease_seconds=2.0, poll_seconds=0.2)


class EchoEngine(FakeEngine):
    """Replies with the text of the last message."""

    async def generate(
        self, prompt: FakePrompt, conversation: Conversation, *arguments: Any, **keywords: Any
    ) -> AsyncIterator[EngineDelta]:
        """Play a reply of the last message's text."""
        text = str(conversation.messages[-1]["content"])
        seconds = float(text.removeprefix("sleep ")) if text.startswith("sleep ") else REPLY_SECONDS
        self.script = [Pause(seconds), *text_reply(text)]
        return await super().generate(prompt, conversation, *arguments, **keywords)


@dataclass(frozen=True)
class BatchServer:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the server listens."""
        wait_until_it_listens(urlsplit(self.url).port or 0, seconds=60)

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def batch_server(options: StoreOptions, log: Path) -> Iterator[BatchServer]:
    """Start a server on a store, and end it after the block; `wait` for it before the first request."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "support.batch_server",
        str(port),
        str(options.directory),
        options.database,
    ]
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield BatchServer(f"http://{HOST}:{port}", process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def two_batch_servers(
    options: StoreOptions, log: Path
) -> Iterator[tuple[BatchServer, BatchServer, ExitStack]]:
    """Start two servers on one store and wait for both; further ones may be entered into the stack."""
    with ExitStack() as servers:
        first, second = (servers.enter_context(batch_server(options, log)) for _ in range(2))
        first.wait()
        second.wait()
        yield first, second, servers


def main() -> None:
    """Serve until killed."""
    port, directory, database = sys.argv[1:]
    store = open_store(StoreOptions(database, Path(directory), claim_seconds=CLAIM_SECONDS))
    app = app_with(EchoEngine(), storage=store, worker=OPTIONS)
    uvicorn.run(app, host=HOST, port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
