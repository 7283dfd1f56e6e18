"""Starts API servers without an engine and reads their CPU time."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.frontend.engine import WINDOW, ScriptedCore
from support.loopback import free_port
from vllm_messages_plugin.testing import tiny

START_SECONDS = 300


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One server and its scripted engine core."""

    process: subprocess.Popen[bytes]
    port: int
    core: ScriptedCore

    def cpu_seconds(self) -> float:
        """CPU time of the server's process so far, all threads included."""
        return self.core.cpu_seconds()


@contextmanager
def api_server(template: str, flags: tuple[str, ...], *, plugin: bool, log: Path) -> Iterator[ApiServer]:
    """A server of a tiny model with this chat template, with or without the plugin."""
    with TemporaryDirectory(prefix="bench-") as sockets, log.open("wb") as output:
        core = ScriptedCore(Path(sockets))
        core.start()
        port = free_port()
        command = [sys.executable, "-m", "bench.frontend.serve", sockets, str(tiny.model_directory(template))]
        command += ["--served-model-name", "tiny", "--port", str(port), "--max-model-len", str(WINDOW)]
        command += ["--dtype", "float32", "--disable-uvicorn-access-log"]
        command += ["--middleware", "bench.frontend.floor.Bare", *flags]
        process = subprocess.Popen(command, env=_environment(plugin), stdout=output, stderr=output)
        core.process = process.pid
        try:
            _wait_until_up(process, port, log)
            yield ApiServer(process, port, core)
        finally:
            process.terminate()
            process.wait()
            core.stop()


class Pair(NamedTuple):
    """A server with the plugin and one without, of the same model and flags."""

    plugin: ApiServer
    native: ApiServer


@contextmanager
def server_pair(template: str, flags: tuple[str, ...], *, logs: Path, name: str) -> Iterator[Pair]:
    """Both servers of a tiny model with this chat template; the name is that of their logs."""
    with ExitStack() as stack:
        yield Pair(
            *(
                stack.enter_context(
                    api_server(template, flags, plugin=plugin, log=logs / f"{name}-{plugin}.log")
                )
                for plugin in (True, False)
            )
        )


def _environment(plugin: bool) -> dict[str, str]:
    paths = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "VLLM_MESSAGES_ENABLED": "1" if plugin else "0",
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-4_000:]}")
