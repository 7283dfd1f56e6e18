"""Runs a vLLM server as a child process: starts it, waits until it is healthy, stops it."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

HOST = "127.0.0.1"
# Given time to end by itself, a server stops its engine processes too.
STOP_SECONDS = 20.0
POLL_SECONDS = 0.5


class ServerFailedError(Exception):
    """The server process ended, or was not healthy in time."""


@dataclass(frozen=True)
class Server:
    """A running server: its process, its URL and its log file."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], port: int, environ: Mapping[str, str]) -> Iterator[Server]:
    """Start a server and stop it after the block, whatever happens.

    Args:
        command: The command that starts the server.
        port: The port that the command makes it listen on.
        environ: The environment of the process.
    """
    handle, name = tempfile.mkstemp(prefix="vllm-messages-demo-", suffix=".log")
    with os.fdopen(handle, "wb") as log:
        # A session of its own: Ctrl-C reaches us alone, and we stop the server in good order.
        process = subprocess.Popen(  # noqa: S603 - no shell; our own interpreter or vLLM's script
            command, stdout=log, stderr=subprocess.STDOUT, env=environ, start_new_session=True
        )
    try:
        yield Server(process, f"http://{HOST}:{port}", Path(name))
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; kill its whole process group if it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the group; the child leads it, so that nothing else is in it."""
    os.killpg(process.pid, signal.SIGKILL)


def wait_until_healthy(server: Server, limit: float, tick: Callable[[float], object]) -> float:
    """Wait until /health responds with 200.

    Args:
        server: The server to wait for.
        limit: Seconds to wait.
        tick: Called with the elapsed seconds, for progress.

    Returns:
        The seconds it took.

    Raises:
        ServerFailedError: The process ended, or the limit passed.
    """
    start = time.monotonic()
    with httpx.Client(trust_env=False, timeout=5.0) as http:
        while (elapsed := time.monotonic() - start) < limit:
            tick(elapsed)
            if server.process.poll() is not None:
                raise ServerFailedError(f"the server ended with status {server.process.returncode}")
            if _healthy(http, server.url):
                return time.monotonic() - start
            time.sleep(POLL_SECONDS)
    raise ServerFailedError(f"the server did not answer /health within {limit:.0f} s")


def _healthy(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
