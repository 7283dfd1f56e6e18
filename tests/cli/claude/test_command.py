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
from vllm_messages_plugin.cli.claude.launch import command_line, environment
from vllm_messages_plugin.cli.claude_config.recommended_settings import KEY_HELPER, settings_for, without_key
from vllm_messages_plugin.cli.claude_config.settings_file import UnusableSettingsError

URL = "http://localhost:8000"
STAND_IN = """#!{python}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
sys.exit(7)
"""


def settings(window: int = 131_072) -> dict[str, Any]:
    return without_key(settings_for("m", window, URL, "sesame"), has_key=True)


@pytest.mark.parametrize(("window", "bare"), [(131_072, []), (32_768, []), (16_384, ["--bare"])])
def test_a_small_window_starts_the_bare_claude(window: int, bare: list[str]) -> None:
    command = command_line("claude", window, settings(window), ["-p", "hi"])
    assert command[1:-4] == bare
    assert command[-2:] == ["-p", "hi"]
    assert json.loads(command[-3]) == settings(window)


def test_bare_is_not_said_twice() -> None:
    assert command_line("claude", 8192, settings(8192), ["--bare"]).count("--bare") == 1


OWN = {"permissions": {"deny": ["Bash"]}, "env": {"ANTHROPIC_MODEL": "theirs", "X": "1"}}


@pytest.mark.parametrize("form", ["two words", "one word", "file"])
def test_settings_of_the_users_own_are_merged_in(form: str, tmp_path: Path) -> None:
    text = json.dumps(OWN)
    path = tmp_path / "own.json"
    path.write_text(text)
    rest = {
        "two words": ["--settings", text],
        "one word": [f"--settings={text}"],
        "file": ["--settings", str(path)],
    }
    command = command_line("claude", 131_072, settings(), ["-c", *rest[form]])
    assert command.count("--settings") == 1
    merged = json.loads(command[2])
    assert merged["permissions"]["deny"] == ["Bash", "WebSearch"]
    assert (merged["env"]["ANTHROPIC_MODEL"], merged["env"]["X"]) == ("m", "1")
    assert command[3:] == ["-c"]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnusableSettingsError, match="not valid JSON"):
        command_line("claude", 131_072, settings(), ["--settings", "{"])


def test_no_other_account_and_no_proxy_gets_into_the_environment() -> None:
    before = {
        "ANTHROPIC_API_KEY": "sk",
        "ANTHROPIC_CUSTOM_HEADERS": "x: y",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "HOME": "/home/me",
        "NO_PROXY": "example.com",
    }
    env = environment(settings(), "sesame", before)
    assert not {"ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_USE_BEDROCK"} & set(env)
    assert (env["HOME"], env["VLLM_API_KEY"], env["ANTHROPIC_BASE_URL"]) == ("/home/me", "sesame", URL)
    assert env["NO_PROXY"] == env["no_proxy"] == "example.com,localhost,127.0.0.1,::1"


def test_a_server_elsewhere_is_reached_through_the_users_proxy() -> None:
    elsewhere = without_key(settings_for("m", 131_072, "http://gpu:8000"), has_key=False)
    env = environment(elsewhere, "", {"HTTP_PROXY": "http://proxy"})
    assert "NO_PROXY" not in env
    assert "VLLM_API_KEY" not in env


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
