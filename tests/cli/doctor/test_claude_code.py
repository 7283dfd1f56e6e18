"""doctor's look at Claude Code and its settings."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for
from vllm_messages_plugin.cli.doctor.claude_code import claude
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.conformance.served_models import ModelEntry

URL = "http://localhost:8000"


def named(lines: Iterable[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


def settings_in(folder: Path, settings: Any) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    text = settings if isinstance(settings, str) else json.dumps(settings)
    (folder / "settings.json").write_text(text)
    return {"CLAUDE_CONFIG_DIR": str(folder)}


def test_settings_that_point_here_are_well(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("m", 131_072, URL))
    lines = list(claude(environ, tmp_path, f"{URL}/v1/", sys.executable))
    assert [line for line in lines if line.status != "ok"] == []
    assert named(lines, "Claude Code's server").found == URL
    assert named(lines, "Claude Code's models").found == "m"


TARGETS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "Claude Code's server", "warn"),
    ({"env": {"ANTHROPIC_BASE_URL": f"{URL}/v1"}}, "Claude Code's server", "fail"),
    ({"env": {"ANTHROPIC_BASE_URL": "http://gpu:1"}}, "Claude Code's server", "warn"),
    ({"env": {"ANTHROPIC_BASE_URL": URL}}, "Claude Code's models", "warn"),
    ({"apiKeyHelper": "x"}, "Claude Code's settings", "warn"),
]


@pytest.mark.parametrize(("settings", "name", "status"), TARGETS)
def test_settings_that_point_elsewhere_are_reported(
    settings: dict[str, Any], name: str, status: str, tmp_path: Path
) -> None:
    found = named(claude(settings_in(tmp_path / "home", settings), tmp_path, URL), name)
    assert found.status == status
    assert found.advice


def test_a_projects_settings_go_before_the_users(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("m", 131_072, "http://gpu:1"))
    settings_in(tmp_path / ".claude", {"env": {"ANTHROPIC_BASE_URL": URL}})
    lines = list(claude(environ, tmp_path, URL, "no-such-program"))
    assert named(lines, "Claude Code's server") == Line("Claude Code's server", "ok", URL)
    assert named(lines, "claude").advice.startswith("npm install")
    assert sum(line.name == "settings" for line in lines) == 2


def test_a_home_that_is_the_project_has_one_settings_file(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / ".claude", settings_for("m", 131_072, URL))
    assert sum(line.name == "settings" for line in claude(environ, tmp_path, URL, "no-such-program")) == 1


def test_a_settings_file_that_makes_no_sense_fails(tmp_path: Path) -> None:
    found = named(claude(settings_in(tmp_path / "home", "{"), tmp_path, URL), "settings")
    assert (found.status, "not valid JSON" in found.found) == ("fail", True)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
@pytest.mark.parametrize(("script", "words"), [("echo 2.1.0", "2.1.0"), ("exit 3", "status 3")])
def test_the_programs_version_is_asked(script: str, words: str, tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert words in named(claude({}, tmp_path, URL, str(program)), "claude").found


SERVED = (ModelEntry("m", 131_072),)
WINDOWS: list[tuple[str | None, str, str]] = [
    ("131072", "ok", "as the server's"),
    ("262144", "fail", "262144 tokens, and the server's 131072"),
    ("32768", "warn", "32768 tokens, and the server's 131072"),
    ("many", "fail", "not a number"),
    (None, "warn", "is not set"),
]


@pytest.mark.parametrize(("configured", "status", "words"), WINDOWS)
def test_a_window_that_is_not_the_servers_is_named(
    configured: str | None, status: str, words: str, tmp_path: Path
) -> None:
    settings = settings_for("m", 131_072, URL)
    settings["env"].pop("CLAUDE_CODE_MAX_CONTEXT_TOKENS")
    if configured:
        settings["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = configured
    environ = settings_in(tmp_path / "home", settings)
    found = named(claude(environ, tmp_path, URL, "no-such-program", SERVED), "Claude Code's window")
    assert (found.status, words in found.found) == (status, True)
    assert (found.advice == "") == (status == "ok")


def test_a_model_that_is_not_served_is_named(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("old-model", 131_072, URL))
    lines = list(claude(environ, tmp_path, URL, "no-such-program", SERVED))
    assert "old-model is not served, but m" in [line.found for line in lines]


def test_settings_for_another_server_are_not_compared(tmp_path: Path) -> None:
    environ = settings_in(tmp_path / "home", settings_for("old-model", 8192, "http://gpu:1"))
    names = {line.name for line in claude(environ, tmp_path, URL, "no-such-program", SERVED)}
    assert "Claude Code's window" not in names
