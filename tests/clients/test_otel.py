"""`claude-config --otel`: the real Claude Code sends its metrics and events to a collector."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clients import claude_code
from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for

pytestmark = pytest.mark.clients


@pytest.fixture
def collector() -> Iterator[tuple[str, list[str]]]:
    """The URL of an OTLP collector over HTTP, and the paths that it received."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            received.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_claude_code_sends_metrics_and_events_to_the_collector(
    collector: tuple[str, list[str]], tmp_path: Path
) -> None:
    endpoint, received = collector
    with listening(Fake(window=131_072)) as url:
        settings = settings_for("tiny", 131_072, url, otel=endpoint)
        command = [str(claude_code.program()), "--settings", json.dumps(settings), "-p", "Say hello."]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NO_PROXY": "*", "LANG": "C.UTF-8"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL
        )
    assert done.returncode == 0, done.stderr
    assert set(received) == {"/v1/logs", "/v1/metrics"}
