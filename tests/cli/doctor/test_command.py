"""doctor: each part of the diagnosis, its report and its exit status."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app

URL = "http://localhost:8000"


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


def run(folder: Path, *arguments: str) -> Result:
    env = {"CLAUDE_CONFIG_DIR": str(folder), "COLUMNS": "200", "VLLM_API_KEY": "", "VLLM_PLUGINS": ""}
    return CliRunner().invoke(app, ["doctor", *arguments], env={**env, "VLLM_PLUGINS": None})


def test_the_report_has_every_part_and_passes(url: str, tmp_path: Path) -> None:
    result = run(tmp_path, url)
    assert result.exit_code == 0, result.output
    for words in ("Installation", "Environment", "Server", "Claude Code", "0 fail"):
        assert words in result.output


def test_a_failure_is_1_and_json_has_it_all(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:9", "--json")
    found = json.loads(result.output)
    assert result.exit_code == 1
    assert found["fail"] == 1
    assert found["parts"]["Server"][0]["status"] == "fail"


def test_without_a_server_none_is_asked(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:9", "--no-server")
    assert result.exit_code == 0
    assert "Server" not in result.output.replace("Claude Code's server", "").split()
