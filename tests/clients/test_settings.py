"""Claude Code's settings as written by `vllm-messages claude` (one run) and claude-config (permanent)."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import claude_code
from support.server import Server

COMMAND = [str(Path(sys.executable).with_name("vllm-messages"))]
QUESTION, ANSWER = "Are the plums ripe?", "They are ripe."
RULES = [{"when": "plums ripe", "say": ANSWER}]
RUN_SECONDS = 180


class Proxy:
    """A proxy that records the hosts it is asked for and refuses every connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection:
                self.asked.append(connection.recv(4096).partition(b"\r\n")[0].decode())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(command: list[str], home: Path, proxy: Proxy) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who has a proxy and no settings."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "HTTP_PROXY": proxy.url,
        "HTTPS_PROXY": proxy.url,
    }
    place = home.with_name("work")
    place.mkdir(exist_ok=True)
    return subprocess.run(
        command,
        cwd=place,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )


def claude(server: Server, home: Path, proxy: Proxy, *options: str) -> subprocess.CompletedProcess[str]:
    program = ["--program", str(claude_code.program())]
    return run([*COMMAND, "claude", server.url, *program, *options, "--", "-p", QUESTION], home, proxy)


def test_one_run_contacts_only_the_server_and_leaves_no_settings(
    server: Server, home: Path, proxy: Proxy
) -> None:
    with server.playbook(RULES):
        done = claude(server, home, proxy)
    assert (done.returncode, done.stdout.strip()) == (0, ANSWER), done.stderr
    assert proxy.asked == []
    assert not (home / ".claude" / "settings.json").exists()


def test_traffic_that_is_allowed_would_be_seen(server: Server, home: Path, proxy: Proxy) -> None:
    with server.playbook(RULES):
        done = claude(server, home, proxy, "--allow-traffic")
    assert done.stdout.strip() == ANSWER, done.stderr
    assert proxy.asked


def test_claude_needs_nothing_but_the_written_settings(server: Server, home: Path, proxy: Proxy) -> None:
    wrote = run([*COMMAND, "claude-config", server.url, "--write"], home, proxy)
    assert wrote.returncode == 0, wrote.stderr
    outcomes = json.loads((home / ".claude" / "settings.json").read_text(encoding="utf-8"))
    assert outcomes["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(server.window)
    with server.playbook(RULES):
        # No proxy before loopback is the user's own to say; `vllm-messages claude` says it for one run.
        done = run(
            ["env", "NO_PROXY=127.0.0.1", str(claude_code.program()), "-p", QUESTION],
            home,
            proxy,
        )
    assert (done.returncode, done.stdout.strip()) == (0, ANSWER), done.stderr
    assert proxy.asked == []
