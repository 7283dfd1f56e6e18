"""Starts a real vLLM server with `vllm serve`, waits until it is healthy, and stops all its processes.

    with start_server(tiny.model_directory()) as server:
        httpx.post(f"{server.url}/v1/messages", ...)

The server listens on loopback only, has the scripted model loaded and a playbook file that `Server.playbook`
writes. Its log is kept in a file, which an error at start-up quotes and names.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.families import Family, write_families
from support.loopback import free_port
from vllm_messages_plugin.testing.script import parse_playbook

START_SECONDS = 300
STOP_SECONDS = 15
LOG_TAIL_LINES = 60
# Removed from the inherited environment: they would load or hide plugins, or redirect clients.
DROPPED_VARIABLES = ("VLLM_PLUGINS", "VLLM_API_KEY", "VLLM_PORT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # One worker on a CPU needs no process of its own: without it the server is up in 18 s instead of 29.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "NO_PROXY": "*",
    # A small model gains little from a second thread, and on a busy machine the two wait for each other:
    # measured on SmolLM2 at a load of 10 on two cores, 6 tokens a second instead of 0.3.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
FLAGS = ("--host", "127.0.0.1", "--enforce-eager", "--max-num-seqs", "8")
SCRIPTED = ("--logits-processors", "vllm_messages_plugin.testing.scripted:ScriptedModel")


class ServerDiedError(RuntimeError):
    """The server ended or was not healthy in time; the message contains the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running server: its URL, the names of its model, its log."""

    url: str
    names: tuple[str, ...]
    window: int
    log_path: Path
    playbook_path: Path
    process: subprocess.Popen[bytes]

    @property
    def model(self) -> str:
        """The first name the model is served under."""
        return self.names[0]

    def log_text(self) -> str:
        """Return everything the server has logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def playbook(self, rules: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """Make the model follow these rules inside the block (see `script.parse_playbook`)."""
        text = json.dumps(list(rules))
        parse_playbook(text)
        before = self.playbook_path.read_text(encoding="utf-8")
        _replace(self.playbook_path, text)
        try:
            yield
        finally:
            _replace(self.playbook_path, before)


@contextmanager
def start_server(
    model: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    names: Sequence[str] = ("tiny", "tiny-alias"),
    window: int = 131_072,
    scripted: bool = True,
    home: Path | None = None,
    port: int = 0,
    program: Sequence[str] = (),
) -> Iterator[Server]:
    """Run `vllm serve` on a model directory for the length of the block, with further arguments and env.

    Its log and playbook are kept in `home`, a new temporary directory unless it is given; a port that is 0
    becomes a free one. `program` runs in the place of `vllm serve`.
    """
    home = home or Path(tempfile.mkdtemp(prefix="vllm-serve-"))
    playbook, log = home / "playbook.json", home / "server.log"
    playbook.write_text("[]", encoding="utf-8")
    port = port or free_port()
    named = ["--served-model-name", *names, "--max-model-len", str(window), "--port", str(port)]
    flags = [*FLAGS, *(SCRIPTED if scripted else ()), *arguments]
    command = [*(program or (vllm_command(), "serve")), str(model), *named, *flags]
    environment = server_environment(os.environ, playbook) | dict(env or {})
    with process_group(command, environment, log) as process:
        server = Server(f"http://127.0.0.1:{port}", tuple(names), window, log, playbook, process)
        _wait_until_healthy(server)
        yield server


@contextmanager
def start_families(model: Path, families: Mapping[str, Family], home: Path) -> Iterator[Server]:
    """Serve several model families with one engine, each under its name as a path (see `families`)."""
    listed = home / "families.json"
    write_families(families, listed)
    program = (sys.executable, "-m", "support.families")
    flags = ("--dtype", "float32", "--families", str(listed))
    with start_server(model, *flags, env=_with_tests(), home=home, program=program) as server:
        yield server


def _with_tests() -> dict[str, str]:
    """Return a PYTHONPATH by which a child process finds this package, and what it found before."""
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def vllm_command() -> str:
    """Return the `vllm` script beside the running Python."""
    command = Path(sys.executable).with_name("vllm")
    if not command.exists():
        raise FileNotFoundError(f"no vLLM beside {sys.executable}")
    return str(command)


def server_environment(inherited: Mapping[str, str], playbook: Path) -> dict[str, str]:
    """Return the environment for a server: offline, untracked, without proxies or a choice of plugins."""
    kept = {key: value for key, value in inherited.items() if key.upper() not in DROPPED_VARIABLES}
    paths = {
        "VLLM_MESSAGES_PLAYBOOK": str(playbook),
        "VLLM_MESSAGES_DATA": str(playbook.with_name(f"{playbook.name}-data")),
    }
    return kept | ENVIRONMENT | paths


@contextmanager
def process_group(
    command: Sequence[str], env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, with its output in `log`; stop the group afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # nobody of the group is left
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait(STOP_SECONDS)


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_healthy(server.url):
        if server.process.poll() is not None:
            raise ServerDiedError(_obituary(server, f"ended with status {server.process.returncode}"))
        if time.monotonic() > deadline:
            raise ServerDiedError(_obituary(server, f"did not answer within {START_SECONDS} s"))
        time.sleep(0.1)


def _is_healthy(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _obituary(server: Server, what: str) -> str:
    tail = "\n".join(server.log_text().splitlines()[-LOG_TAIL_LINES:])
    return f"the vLLM server {what}; the end of {server.log_path}:\n{tail}"


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader sees the old text or the new."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
