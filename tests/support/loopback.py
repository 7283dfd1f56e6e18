"""Servers on loopback ports for tests: programs of the machine, and HTTP handlers in a thread."""

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
LISTEN_SECONDS = 60.0


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], port: int, log: IO[bytes], env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a program that listens on a port, and end it after the block.

    Raises:
        AssertionError: It does not listen in time.
    """
    with subprocess.Popen(command, stdout=log, stderr=log, env=env) as process:
        try:
            wait_until_it_listens(port)
            yield
        finally:
            process.terminate()


def wait_until_it_listens(port: int, seconds: float = LISTEN_SECONDS) -> None:
    """Wait until something listens on a port, for so many seconds at most.

    Raises:
        AssertionError: Nothing does in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with a handler in a thread until the block ends; yields the URL."""
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def serving_app(server: "uvicorn.Server") -> AsyncIterator[int]:
    """Run a uvicorn server, which is to choose its port, in this event loop; yields the port."""
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


class QuietHandler:
    """What a handler inherits beside BaseHTTPRequestHandler: whole replies, and no log."""

    def reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Send a whole reply; a client that has left is no failure."""
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""
