"""The release workflow builds with the command that CI runs, and publishes without a secret."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients import venv
from support.build import MATERIALS, TOOLS

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/release.yml"
ZIZMOR = "zizmor==1.32.0"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_the_wheel_is_built_checked_and_served_before_it_is_published() -> None:
    assert "make build" in commands("build")
    assert "make build" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert JOBS["publish"]["needs"] == "build"


def test_what_builds_has_no_identity_and_nothing_has_a_secret() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["build"]
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in TEXT


def test_every_action_is_pinned_by_digest() -> None:
    used = re.findall(r"uses: (\S+)(.*)", TEXT)
    assert len(used) == 7
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_the_bill_of_materials_is_no_upload_to_pypi_but_part_of_the_release() -> None:
    assert f"mv dist/{MATERIALS} ." in commands("publish")
    (create,) = commands("release")
    assert "dist/*" in create
    assert f"mv dist/{MATERIALS}" not in create
    attested = [step["with"] for step in JOBS["release"]["steps"] if "attest" in step.get("uses", "")]
    assert attested == [{"subject-path": "dist/*"}]


def test_what_publishes_reads_the_metadata_that_the_build_writes() -> None:
    """From v1.14.2 on the action checks with twine 7, as `make build` does. Twine 6 refuses metadata 2.5."""
    (version,) = re.findall(r"gh-action-pypi-publish@\w+ # v(\S+)", TEXT)
    assert tuple(map(int, version.split("."))) >= (1, 14, 2)
    assert "twine==7.0.0" in TOOLS


@pytest.mark.clients
def test_an_auditor_of_workflows_finds_nothing() -> None:
    program = venv.python_with("zizmor", ZIZMOR).with_name("zizmor")
    command = [str(program), "--offline", "--no-progress", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_changelog_begins_with_this_version_or_what_comes_after_it() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    sections = re.findall(r"^## \[(.+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[:2] == ["Unreleased", version]


def tag_check(root: Path, tag: str) -> int:
    env = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
    return subprocess.run(["bash", "-c", commands("build")[0]], cwd=root, env=env).returncode


@pytest.mark.parametrize(
    ("tag", "changelog", "status"),
    [
        ("v1.2.3", "## [1.2.3] - 2026-11-28", 0),
        ("v1.2.39", "## [1.2.3] - 2026-11-28", 1),
        ("v1.2.3", "## [Unreleased]", 1),
    ],
)
def test_a_tag_that_is_not_the_version_or_has_no_section_stops_the_release(
    tmp_path: Path, tag: str, changelog: str, status: int
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}\n")
    assert tag_check(tmp_path, tag) == status
