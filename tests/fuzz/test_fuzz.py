"""The exploring runs of the property tests, and the deterministic ones that decide what lands."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from fuzz import tally
from fuzz.__main__ import explore

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


def test_a_failing_part_ends_the_run_with_its_status() -> None:
    statuses, seeds = [0, 0, 3], []

    def part(seed: int) -> int:
        seeds.append(seed)
        return statuses[len(seeds) - 1]

    assert explore([part, part], seconds=60) == 3
    assert len(set(seeds)) == 3


def test_each_part_is_run_once_however_short_the_time() -> None:
    ran: list[str] = []
    assert explore([lambda _: ran.append("a") or 0, lambda _: ran.append("b") or 0], seconds=0) == 0
    assert ran == ["a", "b"]


def test_the_tally_adds_up_what_several_processes_counted(tmp_path: Path) -> None:
    file = tmp_path / "tally"
    assert tally.read(file) == {}
    tally.add(file, Counter({"200": 1000, "400": 1}))
    tally.add(file, Counter({"200": 500, "500": 2}))
    total = tally.read(file)
    assert total == {"200": 1500, "400": 1, "500": 2}
    assert tally.summary(total) == "1,503 fuzzed requests (200: 1,500, 400: 1, 500: 2), 2 of them 5xx"
