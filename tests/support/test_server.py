"""Starting and stopping a server process, with programs in place of vLLM."""

import sys
import time
import urllib.request
from pathlib import Path

import pytest

from support import server as server_module
from support.server import ServerDiedError, server_environment, start_server

STAND_IN = """
import http.server, os, subprocess, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, directory: Path, code: str) -> None:
    """Have `start_server` run this Python code instead of `vllm`."""
    script = directory / "vllm"
    script.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(server_module, "vllm_command", lambda: str(script))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends_soon(pid: int) -> bool:
    """Whether the process is gone within a few seconds: a kill takes effect when the system gets to it."""
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_the_whole_process_group_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN)
    with start_server(tmp_path, home=tmp_path) as server:
        assert urllib.request.urlopen(f"{server.url}/health").status == 200
        child = int(server.log_text().split()[1])
        assert is_running(child)
    assert server.process.poll() is not None
    assert ends_soon(child)
    assert server.log_path.exists()


def test_a_server_that_dies_is_reported_with_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "print('no such model'); raise SystemExit(3)")
    with (
        pytest.raises(ServerDiedError, match=r"(?s)ended with status 3.*server\.log.*no such model"),
        start_server(tmp_path, home=tmp_path),
    ):
        pass


def test_a_server_that_does_not_answer_is_reported_and_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, "import time; time.sleep(600)")
    monkeypatch.setattr(server_module, "START_SECONDS", 0.5)
    with (
        pytest.raises(ServerDiedError, match=r"did not answer within 0\.5 s"),
        start_server(tmp_path, home=tmp_path),
    ):
        pass


def test_the_command_line_is_plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "import sys; print(*sys.argv[1:]); raise SystemExit(1)")
    with (
        pytest.raises(ServerDiedError) as caught,
        start_server(tmp_path, "--api-key", "k", names=["a", "b"], window=4096, home=tmp_path),
    ):
        pass
    words = str(caught.value).split(":\n", 1)[1]
    assert words.startswith(f"serve {tmp_path} --served-model-name a b --max-model-len 4096 --port ")
    assert words.endswith("scripted:ScriptedModel --api-key k")


def test_the_environment_chooses_no_plugins_and_no_proxy(tmp_path: Path) -> None:
    inherited = {"VLLM_PLUGINS": "x", "https_proxy": "http://p", "PATH": "/bin", "HF_HUB_OFFLINE": "0"}
    environment = server_environment(inherited, tmp_path / "p")
    assert environment["PATH"] == "/bin"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert not {"VLLM_PLUGINS", "https_proxy"} & environment.keys()


def test_a_playbook_holds_inside_its_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN)
    with start_server(tmp_path, home=tmp_path) as server:
        with server.playbook([{"when": "a", "say": "b"}]):
            with (
                pytest.raises(ValueError, match="unknown keys"),
                server.playbook([{"when": "a", "sya": "b"}]),
            ):
                pass
            assert '"say": "b"' in server.playbook_path.read_text(encoding="utf-8")
        assert server.playbook_path.read_text(encoding="utf-8") == "[]"
