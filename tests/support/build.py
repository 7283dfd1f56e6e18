"""Builds wheel and sdist twice, checks both, and serves a model from the wheel in a fresh environment.

    PYTHONPATH=tests python -m support.build [--no-serve]

The fresh environment is a venv that contains the wheel and nothing else. A `.pth` file adds the packages of
the running interpreter: vLLM and the plugin's requirements, which are too large to install once more. The
environment's own packages come first, so the plugin that serves is the one from the wheel.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from email import message_from_string
from email.message import Message
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx
from packaging.requirements import Requirement

from support.materials import licence_problems, write_materials
from support.server import start_server
from vllm_messages_plugin.testing import tiny

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
TOOLS = ("build==1.3.0", "twine==7.0.0", "cyclonedx-bom==7.5.0")
TOOLS_HOME = ROOT / ".venv-build"
MATERIALS = "materials.cdx.json"
PACKAGE = "vllm_messages_plugin"
NEEDED_IN_WHEEL = (
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/plugin.py",
    *(f"{PACKAGE}/testing/templates/{name}.jinja" for name in tiny.TEMPLATES),
)
NEEDED_IN_SDIST = (
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"),
    *(
        "src/vllm_messages_plugin/py.typed",
        "tests/conftest.py",
        "docs/testing.md",
        "examples/offline_test.py",
    ),
)
ENTRY_POINTS = ("[vllm.endpoint_plugins]", "[vllm.general_plugins]", "[console_scripts]")
SCRIPT = "Hello from the wheel."


class BuildError(Exception):
    """A distribution lacks something, or has something that it must not have."""


def wheel_problems(names: Iterable[str]) -> list[str]:
    """Return what is wrong with the files of a wheel."""
    files = set(names)
    missing = [f"the wheel lacks {name}" for name in NEEDED_IN_WHEEL if name not in files]
    foreign = sorted(name for name in files if not name.startswith((f"{PACKAGE}/", f"{PACKAGE}-")))
    models = sorted(
        name
        for name in files
        if "/testing/templates/" in name and name not in NEEDED_IN_WHEEL and not name.endswith("/")
    )
    unexpected = [f"the wheel has {name}, which is not part of the package" for name in foreign]
    return missing + unexpected + [f"{name} is not in docs/testing.md" for name in models]


def sdist_problems(names: Iterable[str]) -> list[str]:
    """Return what is wrong with the files of an sdist, named without its top folder."""
    files = set(names)
    missing = [f"the sdist lacks {name}" for name in NEEDED_IN_SDIST if name not in files]
    caches = [name for name in files if "__pycache__" in name or name.startswith((".venv", ".git/", "dist/"))]
    return missing + [f"the sdist has {name}" for name in sorted(caches)]


def metadata_problems(metadata: Message, entry_points: str) -> list[str]:
    """Return what is wrong with a wheel's METADATA and entry_points.txt."""
    problems = [f"no {header}" for header in ("Summary", "License-Expression") if not metadata[header]]
    if "vllm" in {requirement.name for requirement in requirements(metadata)}:
        problems.append("vLLM is a requirement, which would install the CUDA build over any other")
    return problems + [f"no entry points {group}" for group in ENTRY_POINTS if group not in entry_points]


def requirements(metadata: Message) -> list[Requirement]:
    """Return what the wheel requires without extras."""
    listed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    return [each for each in listed if each.marker is None or each.marker.evaluate({"extra": ""})]


def unmet(needed: Iterable[Requirement]) -> list[str]:
    """Return the requirements that the running environment does not meet."""
    problems = []
    for requirement in needed:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement} is not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{requirement} is not met by {installed}")
    return problems


def build() -> tuple[Path, Path]:
    """Build both distributions into dist/, in an isolated environment, and return the wheel and the sdist."""
    python = TOOLS_HOME / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", TOOLS_HOME])
    run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *TOOLS])
    shutil.rmtree(DIST, ignore_errors=True)
    run([python, "-m", "build", "--outdir", DIST, ROOT], stdout=subprocess.DEVNULL)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    run([python, "-m", "twine", "check", "--strict", wheel, sdist])
    return wheel, sdist


def build_again(sdist: Path) -> None:
    """Build both once more, from the sdist in another directory, and compare.

    Raises:
        BuildError: A file has other bytes than the first time.
    """
    python = TOOLS_HOME / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="vllm-messages-again-") as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = Path(folder).iterdir()
        again = Path(folder) / "again"
        run([python, "-m", "build", "--outdir", again, source], stdout=subprocess.DEVNULL)
        different = [
            each.name for each in again.iterdir() if each.read_bytes() != (DIST / each.name).read_bytes()
        ]
    if different:
        raise BuildError(f"built twice, these differ: {', '.join(sorted(different))}")


def check(wheel: Path, sdist: Path) -> None:
    """Check the files and the metadata of both distributions.

    Raises:
        BuildError: With every problem found.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    with tarfile.open(sdist) as archive:
        packed = [name.partition("/")[2] for name in archive.getnames()]
    problems = [
        *wheel_problems(names),
        *sdist_problems(packed),
        *metadata_problems(metadata, entry_points),
        *unmet(requirements(metadata)),
    ]
    if problems:
        raise BuildError("\n".join(problems))


@contextmanager
def fresh_environment(wheel: Path) -> Iterator[Path]:
    """Install the wheel into a new venv, before the running interpreter's packages; yield its Python."""
    with tempfile.TemporaryDirectory(prefix="vllm-messages-build-") as folder:
        home = Path(folder) / "venv"
        run([sys.executable, "-m", "venv", "--without-pip", home])
        python = home / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        run([*pip, "install", "-qq", "--no-deps", "--no-index", wheel])
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
        (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        yield python


def serve(python: Path) -> None:
    """Serve the tiny model with this Python and ask one message.

    Raises:
        BuildError: The plugin is not the wheel's, or the reply is not the expected one.
    """
    place = f"import {PACKAGE} as package; print(package.__file__)"
    found = Path(subprocess.check_output([python, "-c", place], text=True, env=environment()).strip())
    if python.parents[1] not in found.parents:
        raise BuildError(f"the fresh environment imports {found}")
    program = (str(python.with_name("vllm-messages")), "serve")
    with start_server(tiny.model_directory(), program=program, env={"PYTHONPATH": ""}) as server:
        body = {
            "model": server.model,
            "max_tokens": 20,
            "messages": [{"role": "user", "content": "Hi"}],
            "vllm_xargs": {"script": SCRIPT},
        }
        reply = httpx.post(f"{server.url}/v1/messages", json=body, trust_env=False, timeout=120)
    if reply.status_code != 200 or [part["text"] for part in reply.json()["content"]] != [SCRIPT]:
        raise BuildError(f"the server replied {reply.status_code}: {reply.text}")
    print(f"==> served from {found.parent.name} in a fresh environment, and replied as expected")


def environment() -> dict[str, str]:
    """Return this process's environment without a path to the sources."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(command: Sequence[str | Path], **options: int) -> None:
    """Run a command, without a path to the sources; fail if it fails."""
    subprocess.run([str(word) for word in command], check=True, env=environment(), **options)


def main(arguments: Sequence[str]) -> int:
    """Build, check and serve."""
    parser = argparse.ArgumentParser(prog="python -m support.build", description=__doc__.splitlines()[0])
    parser.add_argument("--no-serve", action="store_true", help="don't start a server from the wheel")
    given = parser.parse_args(arguments)
    wheel, sdist = build()
    check(wheel, sdist)
    print(f"==> {wheel.name} and {sdist.name} are complete, and the wheel's requirements are met")
    build_again(sdist)
    print("==> built again from the sdist, both have the same bytes")
    found = write_materials(wheel, TOOLS_HOME / "bin" / "python", DIST / MATERIALS)
    if problems := licence_problems(found):
        raise BuildError("\n".join(problems))
    print(f"==> {MATERIALS} lists {len(found)} components; their licences are permissive")
    if not given.no_serve:
        with fresh_environment(wheel) as python:
            serve(python)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
