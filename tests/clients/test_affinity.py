"""examples/fleet/nginx.conf, run by nginx itself: a session stays on one server."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from support.loopback import QuietHandler, free_port, running, serving

EXAMPLE = Path(__file__).parents[2] / "examples/fleet/nginx.conf"


@contextmanager
def replica(name: str) -> Iterator[int]:
    """A server that answers with its name, in two pieces with a pause; yields its port."""

    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(name.encode())
            self.wfile.flush()
            time.sleep(0.3)
            self.wfile.write(b"!")

    with serving(Handler) as url:
        yield int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("needs nginx: apt-get install nginx-light")
    home = tmp_path_factory.mktemp("nginx")
    port = free_port()
    with ExitStack() as stack:
        text = EXAMPLE.read_text(encoding="utf-8")
        for number in range(2):
            name = f"vllm-{number}"
            text = text.replace(f"{name}:8000", f"127.0.0.1:{stack.enter_context(replica(name))}")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
        assert len(re.findall(r"server 127\.0\.0\.1:\d+", text)) == 2
        paths = "".join(
            f"{kind}_temp_path {home};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = home / "nginx.conf"
        config.write_text(
            f"daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log {home}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}\n}}\n"
        )
        log = stack.enter_context((home / "log").open("wb"))
        stack.enter_context(running([program, "-c", str(config), "-p", str(home)], port, log))
        yield f"http://127.0.0.1:{port}"


def served_by(proxy: str, **headers: str) -> str:
    """The name of the server that a request reaches; its first piece arrives before its last."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.stream("POST", f"{proxy}/v1/messages", json={}, headers=sent, trust_env=False) as response:
        return next(response.iter_text())


@pytest.mark.parametrize("header", ["x_claude_code_session_id", "x_session_id", "x_api_key"])
def test_a_session_stays_on_one_server_and_sessions_spread(proxy: str, header: str) -> None:
    names = {number: served_by(proxy, **{header: f"session-{number}"}) for number in range(8)}
    assert set(names.values()) == {"vllm-0", "vllm-1"}
    assert {number: served_by(proxy, **{header: f"session-{number}"}) for number in range(8)} == names


def test_claude_codes_session_decides_and_streams_are_not_buffered(proxy: str) -> None:
    session = {"x_claude_code_session_id": "one"}
    assert len({served_by(proxy, **session, x_session_id=str(n), x_api_key=str(n)) for n in range(6)}) == 1
