"""Claude Code's command line and environment for one run."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude.launch import command_line, environment
from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for, without_key

URL = "http://localhost:8000"


def settings(window: int = 131_072) -> dict[str, Any]:
    return without_key(settings_for("m", window, URL, "sesame"), has_key=True)


@pytest.mark.parametrize(("window", "bare"), [(131_072, []), (32_768, []), (16_384, ["--bare"])])
def test_a_small_window_starts_the_bare_claude(window: int, bare: list[str]) -> None:
    command = command_line("claude", window, settings(window), ["-p", "hi"])
    assert command[1:-4] == bare
    assert command[-2:] == ["-p", "hi"]
    assert json.loads(command[-3]) == settings(window)


def test_bare_is_not_passed_twice() -> None:
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
