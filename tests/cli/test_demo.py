"""The demo: its server process, its steps in order, and what it leaves behind (nothing)."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vllm_messages_plugin.cli import serve
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.demo import command as demo_module
from vllm_messages_plugin.cli.demo import steps as demo_steps
from vllm_messages_plugin.demo import server

# A server that only knows /health; with `slow` it is unhealthy, with `deaf` it does not hear SIGTERM.
STAND_IN = textwrap.dedent("""
    import http.server, signal, sys
    if "dies" in sys.argv:
        sys.exit("no such model")
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if "slow" in sys.argv else 200)
            self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
""")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def stand_in(port: int, *moods: str) -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(port), *moods]


def is_gone(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


@pytest.mark.parametrize("moods", [[], ["deaf"]])
def test_a_server_is_waited_for_and_stopped(moods: list[str]) -> None:
    ticks: list[float] = []
    port = server.free_port()
    with server.running(stand_in(port, *moods), port) as found:
        seconds = server.wait_until_healthy(found, 20.0, ticks.append)
        assert found.url == f"http://127.0.0.1:{port}"
    assert is_gone(found.process)
    assert ticks
    assert 0 <= seconds < 20


def test_a_server_that_dies_is_reported_with_its_log() -> None:
    port = server.free_port()
    with (
        server.running(stand_in(port, "dies"), port) as found,
        pytest.raises(server.ServerFailedError, match="status 1"),
    ):
        server.wait_until_healthy(found, 20.0, lambda elapsed: None)
    assert found.tail() == "no such model"


def test_a_server_that_is_never_healthy_is_given_up() -> None:
    port = server.free_port()
    with (
        server.running(stand_in(port, "slow"), port) as found,
        pytest.raises(server.ServerFailedError, match="did not answer"),
    ):
        server.wait_until_healthy(found, 0.3, lambda elapsed: None)
    assert is_gone(found.process)


def test_the_servers_environment_lets_the_plugin_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "other")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    monkeypatch.setenv("VLLM_API_KEY", "of another server")
    found = server.environment()
    assert "VLLM_API_KEY" not in found
    assert found["VLLM_PLUGINS"] == "other,messages"
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "7"
    monkeypatch.delenv("VLLM_PLUGINS")
    assert "VLLM_PLUGINS" not in server.environment()


def test_plain_vllm_is_started_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "has_distribution", lambda name: False)
    monkeypatch.setattr(serve, "has_distribution", lambda name: False)
    assert server.serve_command(["m"])[1:3] == ["-m", "vllm_messages_plugin.engine.vllm.launch"]
    monkeypatch.setattr(server, "has_distribution", lambda name: True)
    script = Path(sys.executable).with_name("vllm")
    assert (server.serve_command(["m"]) == [str(script), "serve", "m"]) == script.exists()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The demo with small stand-ins for its programs; what its steps saw."""
    seen: list[str] = []
    programs = {
        "maker": "print('unpacking'); print('/models/tiny')",
        "_asker": "import sys; print('Paris, ', sys.argv[1:], end='')",
    }
    for name, code in programs.items():
        (tmp_path / f"demo_{name.strip('_')}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's own")
    monkeypatch.setattr(demo_steps, "MODEL_MAKER", "demo_maker")
    monkeypatch.setattr(demo_steps, "ASKER", "demo_asker")
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)

    def command(arguments: list[str]) -> list[str]:
        seen.append(" ".join(arguments))
        return stand_in(int(arguments[-1]))

    def smoke(url: str, model: str, key: str, checks: object, plan: object) -> int:
        seen.append(f"smoke {model}")
        return int(os.environ.get("FAILED_CHECKS", "0"))

    monkeypatch.setattr(demo_steps, "serve_command", command)
    monkeypatch.setattr(demo_steps, "run_against", smoke)
    return seen


def test_the_demo_makes_serves_checks_asks_and_connects(
    steps: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert demo_steps.run_demo(port=0, keep=False)
    out = capfd.readouterr().out
    assert steps[0].startswith("/models/tiny --served-model-name smollm2 --max-model-len 8192")
    assert steps[1:] == ["smoke smollm2"]
    in_order = (
        "unpacking",
        "$ vllm serve /models/tiny",
        "up at",
        "> What is",
        "Paris,",
        "export ANTHROPIC",
        "claude",
    )
    assert sorted(in_order, key=out.index) == list(in_order)


def test_a_failed_check_fails_the_demo(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILED_CHECKS", "1")
    assert not demo_steps.run_demo(port=0, keep=False)


def test_an_empty_answer_fails_the_demo(steps: list[str], tmp_path: Path) -> None:
    (tmp_path / "demo_asker.py").write_text("print()")
    assert not demo_steps.run_demo(port=0, keep=False)


def test_a_model_that_cannot_be_made_fails_the_demo(steps: list[str], tmp_path: Path) -> None:
    (tmp_path / "demo_maker.py").write_text("raise SystemExit(3)")
    assert not demo_steps.run_demo(port=0, keep=False)
    assert steps == []


def test_a_server_that_fails_shows_its_log(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_steps, "serve_command", lambda arguments: stand_in(1, "dies"))
    assert not demo_steps.run_demo(port=0, keep=False)
    out = capfd.readouterr().out
    assert "no such model" in out
    assert "status 1" in out


def test_ctrl_c_stops_the_server_that_was_kept(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kept: list[server.Server] = []

    def interrupted(found: server.Server) -> None:
        kept.append(found)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_steps, "_until_it_ends", interrupted)
    assert demo_steps.run_demo(port=0, keep=True)
    assert is_gone(kept[0].process)
    assert "stays up" in capfd.readouterr().out


@pytest.mark.parametrize(("good", "status"), [(True, 0), (False, 1)])
def test_the_command_tells_how_it_went(good: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "require_vllm", lambda: None)
    monkeypatch.setattr(demo_steps, "run_demo", lambda port, keep: good)
    assert CliRunner().invoke(app, ["demo"]).exit_code == status


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "require_vllm", lambda: None)
    monkeypatch.setattr(demo_module, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2
    assert "vllm-messages-plugin[demo]" in result.output
