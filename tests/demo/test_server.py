"""A server as a child process: waited for, stopped, and reported with its log when it fails."""

import os
import subprocess
from pathlib import Path

import pytest

from support.stand_in_server import stand_in
from vllm_messages_plugin.demo import server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(server, "STOP_SECONDS", 0.5)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def is_gone(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


@pytest.mark.parametrize("moods", [[], ["deaf"]])
def test_a_server_is_waited_for_and_stopped(moods: list[str]) -> None:
    ticks: list[float] = []
    port = server.free_port()
    with server.running(stand_in(port, *moods), port, os.environ) as found:
        seconds = server.wait_until_healthy(found, 20.0, ticks.append)
        assert found.url == f"http://127.0.0.1:{port}"
    assert is_gone(found.process)
    assert ticks
    assert 0 <= seconds < 20


def test_a_server_that_dies_is_reported_with_its_log() -> None:
    port = server.free_port()
    with (
        server.running(stand_in(port, "dies"), port, os.environ) as found,
        pytest.raises(server.ServerFailedError, match="status 1"),
    ):
        server.wait_until_healthy(found, 20.0, lambda elapsed: None)
    assert found.tail() == "no such model"


def test_a_server_that_is_never_healthy_is_given_up() -> None:
    port = server.free_port()
    with (
        server.running(stand_in(port, "slow"), port, os.environ) as found,
        pytest.raises(server.ServerFailedError, match="did not answer"),
    ):
        server.wait_until_healthy(found, 0.3, lambda elapsed: None)
    assert is_gone(found.process)
