"""The smoke test and claude-config against a real vLLM server with a real, very small model."""

import json

import pytest
from typer.testing import CliRunner

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_settings import settings_for
from vllm_messages_plugin.testing.server import Server

pytestmark = pytest.mark.smollm2


def test_every_check_passes_on_our_server(smollm2_server: Server) -> None:
    result = CliRunner().invoke(app, ["smoke-test", smollm2_server.url, "--json"], env={"VLLM_API_KEY": ""})
    checks = json.loads(result.stdout)["checks"]
    failed = {check["name"]: check["reason"] for check in checks if check["result"] != "pass"}
    thinks_not = "the model does not think (capabilities)"
    no_claude = "not asked for (--claude-code), or claude is not installed"
    assert failed == {
        "auth": "no --api-key was given",
        "thought": thinks_not,
        "omitted": thinks_not,
        "claude-talks": no_claude,
        "claude-reads": no_claude,
    }
    assert result.exit_code == 0


def test_claude_code_is_told_the_servers_own_window(smollm2_server: Server) -> None:
    result = CliRunner().invoke(app, ["claude-config", smollm2_server.url, "--json"])
    assert json.loads(result.stdout) == settings_for("smollm2", 8192, smollm2_server.url, thinking=False)
