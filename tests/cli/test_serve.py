"""`serve` hands every argument to vLLM untouched and becomes it."""

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vllm_messages_plugin.cli import serve as serve_module
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.serve import (
    PLUGIN_LAUNCHER,
    VLLM_MAIN,
    command_line,
    plugin_warning,
    serve_command,
)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have replaced this process."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: commands.append([path, *command[1:]]))
    monkeypatch.setattr(serve_module, "find_spec", lambda name: object())
    monkeypatch.setattr(serve_module, "has_distribution", lambda name: True)
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    return commands


ARGUMENTS = [
    ["model"],
    ["model", "--port", "8001", "--enforce-eager"],
    ["--port", "8001", "model"],
    ["model", "-tp", "2", "-O3", "--served-model-name", "a", "b"],
    ["model", "--override-generation-config", '{"temperature": 0}', "--limit-mm-per-prompt={}"],
    ["--config", "serve.yaml"],
    ["model", "--help=Frontend"],
    ["model", "--version", "--json", "-v"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_every_argument_reaches_vllm_untouched(arguments: list[str], executed: list[list[str]]) -> None:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 0, result.output
    assert executed == [[sys.executable, "-m", VLLM_MAIN, "serve", *arguments]]


def test_a_cpu_build_goes_through_our_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "has_distribution", lambda name: False)
    assert command_line(["model"]) == [sys.executable, "-m", PLUGIN_LAUNCHER, "serve", "model"]


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0), (["model", "--help"], 0)])
def test_help_is_this_commands_and_starts_nothing(
    arguments: list[str], status: int, executed: list[list[str]]
) -> None:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == status
    assert "Usage" in result.output
    assert "--help=all" in result.output
    assert executed == []


def test_a_missing_vllm_is_named(monkeypatch: pytest.MonkeyPatch, executed: list[list[str]]) -> None:
    monkeypatch.setattr(serve_module, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["serve", "model"])
    assert result.exit_code == 2
    assert "vLLM is not installed" in result.output
    assert executed == []


@pytest.mark.parametrize(
    ("allowed", "advice"),
    [
        (None, None),
        ("messages", None),
        ("other,messages", None),
        ("other", "VLLM_PLUGINS=other,messages"),
        ("", "VLLM_PLUGINS=messages"),
    ],
)
def test_a_choice_of_plugins_without_this_one_is_warned_of(allowed: str | None, advice: str | None) -> None:
    warning = plugin_warning({} if allowed is None else {"VLLM_PLUGINS": allowed})
    assert (warning is None) == (advice is None)
    assert warning is None or warning.endswith(str(advice))


def test_the_warning_is_printed_and_the_server_started(
    monkeypatch: pytest.MonkeyPatch, executed: list[list[str]]
) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "other")
    result = CliRunner().invoke(app, ["serve", "model"])
    assert "excludes this plugin" in result.output
    assert len(executed) == 1


def test_plain_vllm_is_started_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "has_distribution", lambda name: False)
    assert serve_command(["m"])[1:3] == ["-m", PLUGIN_LAUNCHER]
    monkeypatch.setattr(serve_module, "has_distribution", lambda name: True)
    script = Path(sys.executable).with_name("vllm")
    assert (serve_command(["m"]) == [str(script), "serve", "m"]) == script.exists()
