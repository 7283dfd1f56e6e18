"""The release workflow builds with the command that CI runs, and publishes without a secret."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_the_wheel_is_built_checked_and_served_before_it_is_published() -> None:
    assert "make build" in commands("build")
    assert "make build" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert JOBS["publish"]["needs"] == "build"


def test_only_the_publishing_job_has_an_identity_and_none_has_a_secret() -> None:
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "permissions" not in JOBS["build"]
    assert "secrets." not in TEXT


@pytest.mark.parametrize(("changed", "status"), [("", 0), ("9", 1)])
def test_a_tag_that_is_not_the_version_stops_the_release(changed: str, status: int) -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    check = commands("build")[0]
    env = {"GITHUB_REF_NAME": f"v{version}{changed}", "PATH": "/usr/bin:/bin"}
    assert subprocess.run(["bash", "-c", check], cwd=ROOT, env=env).returncode == status
