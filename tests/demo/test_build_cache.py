"""Where built things are kept, and that they are built once and whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from vllm_messages_plugin.demo.build_cache import MANIFEST, build_once, cache_home, is_complete


def write_one(directory: Path) -> None:
    (directory / "inner").mkdir()
    (directory / "inner" / "one").write_text("1", encoding="utf-8")


BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from vllm_messages_plugin.demo.build_cache import build_once, is_complete

def build(directory):
    print("built")
    time.sleep(0.5)
    (directory / "one").touch()

assert is_complete(build_once(Path(sys.argv[1]), "r", build), "r")
"""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"VLLM_MESSAGES_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/vllm-messages"),
        ({"VLLM_MESSAGES_CACHE": ""}, "~/.cache/vllm-messages"),
        ({"VLLM_MESSAGES_CACHE": "~/x"}, "~/x"),
    ],
)
def test_the_environment_sets_the_cache_directory(environ: dict[str, str], expected: str) -> None:
    assert cache_home(environ) == Path(expected).expanduser()


def test_a_second_call_does_not_build(tmp_path: Path) -> None:
    target = build_once(tmp_path / "deep" / "t", "r", write_one)
    assert build_once(target, "r", lambda _: pytest.fail("built again")) == target
    assert (target / "inner" / "one").read_text(encoding="utf-8") == "1"


@pytest.mark.parametrize("damage", ["cut", "lost", "added", "no manifest", "bad manifest", "empty"])
def test_a_damaged_copy_is_built_again(tmp_path: Path, damage: str) -> None:
    target = build_once(tmp_path / "t", "r", write_one)
    one, manifest = target / "inner" / "one", target / MANIFEST
    if damage == "cut":
        one.write_text("", encoding="utf-8")
    elif damage == "lost":
        one.unlink()
    elif damage == "added":
        (target / "two").touch()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("[]" if damage == "bad manifest" else "", encoding="utf-8")
    assert not is_complete(target, "r")
    assert is_complete(build_once(target, "r", write_one), "r")
    assert not (target / "two").exists()


def test_another_recipe_is_built_again(tmp_path: Path) -> None:
    target = build_once(tmp_path / "t", "r1", write_one)
    assert not is_complete(target, "r2")
    assert is_complete(build_once(target, "r2", write_one), "r2")


def test_a_failing_build_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        write_one(directory)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build_once(tmp_path / "t", "r", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".t.lock"]


def test_of_processes_at_once_one_builds_and_all_end_well(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD_SLOWLY, str(tmp_path / "t")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(said) == ["", "", "built\n"]
