"""The demo: its server process, its steps in order, and what it leaves behind (nothing)."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support.stand_in_server import stand_in
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.demo import command as demo_module
from vllm_messages_plugin.cli.demo import steps as demo_steps
from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.outcome import Outcome
from vllm_messages_plugin.conformance.report import Finding
from vllm_messages_plugin.demo import server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def logs(folder: Path) -> list[Path]:
    return list(folder.glob("vllm-messages-demo-*.log"))


def is_gone(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def test_the_servers_environment_lets_the_plugin_in() -> None:
    given = {"VLLM_PLUGINS": "other", "VLLM_CPU_KVCACHE_SPACE": "7", "VLLM_API_KEY": "of another server"}
    found = demo_steps.server_environment(given)
    assert "VLLM_API_KEY" not in found
    assert found["VLLM_PLUGINS"] == "other,messages"
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "7"
    assert "VLLM_PLUGINS" not in demo_steps.server_environment({})


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

    def smoke(url: str, model: str, key: str, checks: tuple[Check, ...], options: object) -> list[Finding]:
        seen.append(f"smoke {model}")
        result: Any = os.environ.get("RESULT_OF_CHECKS", "pass")
        return [Finding(check, Outcome(result, ""), 1) for check in checks]

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
        "$ VLLM_CPU_KVCACHE_SPACE=2 vllm serve /models/tiny",
        "up at",
        "> What is",
        "Paris,",
        "export ANTHROPIC",
        "claude",
    )
    assert sorted(in_order, key=out.index) == list(in_order)


@pytest.mark.parametrize("result", ["fail", "error"])
def test_a_failed_check_fails_the_demo(
    result: str, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULT_OF_CHECKS", result)
    assert not demo_steps.run_demo(port=0, keep=False)


@pytest.mark.parametrize("keep", [False, True])
def test_the_log_of_a_demo_that_went_well_is_removed(
    keep: bool, steps: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Path] = []

    def interrupted(_found: server.Server) -> None:
        seen.extend(logs(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_steps, "_until_it_ends", interrupted)
    assert demo_steps.run_demo(port=0, keep=keep)
    assert len(seen) == keep  # while the server stays up, its log does too
    assert logs(tmp_path) == []


@pytest.mark.parametrize("failure", ["server", "checks", "kept server"])
def test_the_log_of_a_demo_that_failed_is_kept_and_named_at_its_end(
    failure: str,
    steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if failure == "server":
        monkeypatch.setattr(demo_steps, "serve_command", lambda arguments: stand_in(1, "dies"))
    elif failure == "checks":
        monkeypatch.setenv("RESULT_OF_CHECKS", "fail")
    else:
        until_it_ends = demo_steps._until_it_ends

        def killed(found: server.Server) -> None:
            found.process.kill()
            until_it_ends(found)

        monkeypatch.setattr(demo_steps, "_until_it_ends", killed)
    assert not demo_steps.run_demo(port=0, keep=failure == "kept server")
    (log,) = logs(tmp_path)
    assert f"log is kept: {log}" in capfd.readouterr().out


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
def test_the_command_reports_its_result(good: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "require_vllm", lambda: None)
    monkeypatch.setattr(demo_steps, "run_demo", lambda port, keep: good)
    assert CliRunner().invoke(app, ["demo"]).exit_code == status


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "require_vllm", lambda: None)
    monkeypatch.setattr(demo_module, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2
    assert "vllm-messages-plugin[demo]" in result.output
