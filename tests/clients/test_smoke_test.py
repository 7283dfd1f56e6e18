"""`vllm-messages smoke-test --claude-code`: the real client passes on a real model of 135M parameters."""

import json

import pytest
from typer.testing import CliRunner

from clients import claude_code
from support.server import Server
from vllm_messages_plugin.cli.app import app

CHECKS = ("claude-talks", "claude-reads", "claude-edits", "claude-resumes", "claude-compacts")


@pytest.mark.smollm2
@pytest.mark.slow_clients
def test_claude_code_talks_reads_edits_resumes_and_compacts(smollm2_server: Server) -> None:
    asked = [word for name in CHECKS for word in ("--only", name)]
    driven = ["--claude-code", "--program", str(claude_code.program()), "--json"]
    result = CliRunner().invoke(app, ["smoke-test", smollm2_server.url, *driven, *asked])
    checks = json.loads(result.stdout)["checks"]
    assert {check["name"]: check["result"] for check in checks} == dict.fromkeys(CHECKS, "pass"), checks
