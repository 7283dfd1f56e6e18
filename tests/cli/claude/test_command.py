"""`vllm-messages claude`: the command line, the environment, and one run of a stand-in for Claude Code."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conformance.fake_anthropic import Fake, listening
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_config.recommended_settings import KEY_HELPER, settings_for, without_key

URL = "http://localhost:8000"
STAND_IN = """#!{python}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
sys.exit(7)
"""


def settings(window: int = 131_072) -> dict[str, Any]:
    return without_key(settings_for("m", window, URL, "sesame"), has_key=True)


@pytest.fixture
def fake() -> Fake:
    return Fake(window=131_072)


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    with listening(fake) as root:
        yield root


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "claude"
    path.parent.mkdir()
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    return path


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, ["claude", *arguments], env={"VLLM_API_KEY": "", **env})


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
def test_claude_gets_its_arguments_the_key_and_its_own_exit_status(
    url: str, fake: Fake, program: Path, tmp_path: Path
) -> None:
    fake.key = "sesame"
    home = tmp_path / "home"
    home.mkdir()
    code = "from vllm_messages_plugin.cli.app import main; main()"
    command = [sys.executable, "-c", code, "claude", url, "--", "-p", "what is --model here?"]
    env = os.environ | {"PATH": f"{program.parent}", "HOME": str(home), "VLLM_API_KEY": "sesame"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 7, done.stderr
    words, seen = json.loads(done.stdout)
    assert words[0] == "--settings"
    assert words[2:] == ["-p", "what is --model here?"]
    assert json.loads(words[1])["apiKeyHelper"] == KEY_HELPER
    assert "sesame" not in json.dumps(words)
    assert seen["VLLM_API_KEY"] == "sesame"
    assert (seen["ANTHROPIC_MODEL"], seen["ANTHROPIC_BASE_URL"]) == ("tiny", url)
    assert f"Claude Code with tiny (131072 tokens) at {url}" in done.stderr
    assert list(home.iterdir()) == []


def test_a_missing_claude_is_2_with_the_install_line(url: str) -> None:
    result = run(url, "--program", "no-such-program")
    assert result.exit_code == 2
    assert "npm install -g @anthropic-ai/claude-code" in result.stderr


def test_an_option_of_claudes_is_never_our_url(program: Path) -> None:
    result = run("--program", str(program), "--", "-p", "hi")
    assert result.exit_code == 2
    assert "http://localhost:8000" in result.stderr


def test_a_dry_run_prints_the_command_and_starts_nothing(url: str, program: Path) -> None:
    result = run(url, "--program", str(program), "--dry-run", "--", "--continue")
    assert result.exit_code == 0
    words = shlex.split(result.stdout)
    assert (words[0], words[1], words[3:]) == (str(program), "--settings", ["--continue"])


def test_no_server_is_2(program: Path) -> None:
    assert run("http://127.0.0.1:9", "--program", str(program)).exit_code == 2
