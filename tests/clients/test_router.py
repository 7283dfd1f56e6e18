"""vLLM's own router between clients and the live server, as in examples/kubernetes/replicas.yaml."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anthropic
import pytest

from clients import claude_code, play, venv
from support.loopback import free_port
from support.server import Server

VERSION = "0.1.17"
START_SECONDS = 60


@pytest.fixture(scope="module")
def routed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same server, at the router's address."""
    python = venv.python_with(f"vllm-router-{VERSION}", f"vllm-router=={VERSION}")
    port, metrics = free_port(), free_port()
    address = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics)]
    flags = ["--policy", "consistent_hash", "--worker-urls", server.url]
    log = tmp_path_factory.mktemp("router") / "router.log"
    with log.open("wb") as output:
        command = [str(python), "-E", "-s", "-B", "-m", "vllm_router.launch_router", *address, *flags]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/health", process, log)
        yield replace(server, url=url)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            with direct.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


@pytest.fixture
def client(routed: Server) -> Iterator[anthropic.Anthropic]:
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        base_url=routed.url, api_key="x", max_retries=0, timeout=120, http_client=transport
    ) as made:
        yield made


def test_a_stream_passes_piece_by_piece(server: Server, client: anthropic.Anthropic) -> None:
    user = [{"role": "user", "content": "Say hello."}]
    rule = play.HELLO[0] | {"delay_ms": 100}
    with (
        server.playbook([rule]),
        client.messages.stream(
            model="tiny", max_tokens=50, messages=user, extra_headers={"X-User-ID": "ann"}
        ) as events,
    ):
        arrivals = [time.monotonic() for _ in events.text_stream]
        assert events.get_final_text() == play.GREETING
    assert arrivals[-1] - arrivals[0] > 0.1


def test_an_error_keeps_its_status_and_envelope(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: no-such-model") as refused:
        client.messages.create(
            model="no-such-model", max_tokens=5, messages=[{"role": "user", "content": "x"}]
        )
    assert refused.value.request_id is not None


def test_claude_code_reads_a_file_through_it(server: Server, routed: Server, tmp_path: Path) -> None:
    """Although the router forwards neither its beta headers nor `?beta=true`."""
    place = tmp_path / "work"
    place.mkdir()
    (place / "note.txt").write_text("The heron stands in the reeds.\n", encoding="utf-8")
    rules = [
        {"when": "<tool_response>.*heron stands", "say": play.THINKING + "It tells of a heron."},
        {
            "when": "Read the note",
            "say": play.THINKING + play.call("Read", file_path=str(place / "note.txt")),
        },
    ]
    with server.playbook(rules):
        run = claude_code.ask(routed, place, "Read the note in note.txt.", "--allowedTools", "Read")
    assert run.status == 0, run
    assert run.result["result"] == "It tells of a heron."
