"""The exploring runs of the property tests, and the deterministic ones that decide what lands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import fuzz

CONFTEST = """
import pytest
from support.profiles import fix_order, register_profiles

register_profiles()

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    fix_order(config)
"""
SHOW = """
import hypothesis, random
from hypothesis import strategies as st
DRAWN = []

@hypothesis.settings(max_examples=20)
@hypothesis.given(st.integers())
def test_draw(number):
    DRAWN.append(number)

def test_a(): print("a", end=" ")
def test_b(): print("b", end=" ")
def test_c(): print("c", end=" ")
def test_d(): print("d", end=" ")

def teardown_module():
    print("drawn", DRAWN)
"""


def drawn(folder: Path, ci: str) -> str:
    """What a run draws, and the order of its tests."""
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_show.py").write_text(SHOW, encoding="utf-8")
    path = os.pathsep.join((str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-c", "/dev/null", f"--rootdir={folder}", str(folder)],
        env={**os.environ, "CI": ci, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r" in [\d.]+s.*", "", done.stdout)


def test_in_ci_two_runs_draw_the_same_in_the_same_order(tmp_path: Path) -> None:
    assert drawn(tmp_path, "true") == drawn(tmp_path, "true")


def test_elsewhere_runs_differ(tmp_path: Path) -> None:
    assert len({drawn(tmp_path, "") for _ in range(2)}) == 2


class Rounds:
    """Stands in for subprocess.run: each round ends with the next status."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.statuses.pop(0))


def test_a_failing_round_ends_the_run_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(0, 0, 3, 0)
    monkeypatch.setattr(fuzz.subprocess, "run", rounds)
    assert fuzz.main(["--minutes", "1", "tests/formats"]) == 3
    assert len(rounds.commands) == 3
    seeds = [word for command in rounds.commands for word in command if "seed" in word]
    assert len(set(seeds)) == 3
    assert all(command[-1] == "tests/formats" for command in rounds.commands)


def test_one_round_is_run_however_short_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(0)
    monkeypatch.setattr(fuzz.subprocess, "run", rounds)
    assert fuzz.main(["--minutes", "0"]) == 0
