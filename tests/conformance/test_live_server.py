"""The commands against real vLLM servers: SmolLM2, and the scripted model, which can be made to think."""

import json

import pytest
from typer.testing import CliRunner

from support.server import Server
from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude_config.recommended_settings import settings_for

PUZZLE = [{"when": "Is 17 a prime", "say": "<think>\nLet me see.\n</think>\n\nYes."}]


@pytest.mark.live
def test_thinking_is_checked_on_a_model_that_thinks(server: Server) -> None:
    with server.playbook(PUZZLE):
        result = CliRunner().invoke(app, ["smoke-test", server.url, "--group", "thinking", "--json"])
    checks = json.loads(result.stdout)["checks"]
    assert {check["name"]: check["result"] for check in checks} == dict.fromkeys(
        ("thinking", "budgets", "thought", "omitted", "passed-back"), "pass"
    )


def called(name: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


SERVER_RULES = [
    {"when": "one short sentence what you were told to remember", "say": "A heron waits in the reeds."},
    {"when": "Run pip install", "say": "It serves models."},
    {"when": "may not be fetched|get_weather", "say": "I see."},
    {"when": "Search the web for vLLM", "say": called("web_search", query="vLLM")},
    {"when": "Fetch https", "say": called("web_fetch", url="https://example.com/")},
    {"when": "Find the tool", "say": called("tool_search_tool_bm25", query="weather in a city")},
    {"when": "What does the heron eat", "say": '<cite n="2">Fish and frogs.</cite>'},
]


@pytest.mark.live
def test_the_servers_own_tools_are_checked(server: Server) -> None:
    with server.playbook(SERVER_RULES):
        result = CliRunner().invoke(app, ["smoke-test", server.url, "--group", "server", "--json"])
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert {name: check["reason"] for name, check in checks.items()} == {
        "web-search": "3 results, also streamed, and sent back",
        "web-fetch": "the fetch was tried: url_not_allowed",
        "tool-search": "found: get_weather",
        "citations": "1 citations",
        "compaction": "a summary",
        "compact-edit": "a summary",
    }
    assert {check["result"] for check in checks.values()} == {"pass"}


@pytest.mark.live
def test_a_session_is_found_in_the_cache(server: Server) -> None:
    result = CliRunner().invoke(app, ["bench", server.url, "--runs", "1", "--tokens", "4", "--json"])
    found = json.loads(result.stdout)
    assert min(found["reuse"]) > 0.95, found["session"]


@pytest.mark.live
def test_the_doctor_knows_our_server(server: Server) -> None:
    counting = [{"when": "Count from one to thirty", "say": "one two three four five six seven " * 4}]
    with server.playbook(counting):
        result = CliRunner().invoke(app, ["doctor", server.url, "--json"])
    lines = {line["name"]: line for line in json.loads(result.stdout)["parts"]["Server"]}
    assert {lines[name]["status"] for name in ("/v1/messages", "streaming", "tools")} == {"ok"}
    assert lines["prefix cache"]["found"].partition(",")[0] == "on"


@pytest.mark.smollm2
def test_every_check_passes_on_our_server(smollm2_server: Server) -> None:
    result = CliRunner().invoke(app, ["smoke-test", smollm2_server.url, "--json"], env={"VLLM_API_KEY": ""})
    checks = json.loads(result.stdout)["checks"]
    failed = {check["name"]: check["reason"] for check in checks if check["result"] != "pass"}
    thinks_not = "the model cannot think (capabilities)"
    no_claude = "needs --claude-code and an installed Claude Code"
    assert failed == {
        "auth": "no --api-key was given",
        "thought": thinks_not,
        "omitted": thinks_not,
        "claude-talks": no_claude,
        "claude-reads": no_claude,
        "claude-edits": no_claude,
        "claude-resumes": no_claude,
        "claude-compacts": no_claude,
    }
    assert result.exit_code == 0


@pytest.mark.smollm2
def test_claude_code_gets_the_servers_own_window(smollm2_server: Server) -> None:
    result = CliRunner().invoke(app, ["claude-config", smollm2_server.url, "--json"])
    assert json.loads(result.stdout) == settings_for("smollm2", 8192, smollm2_server.url, thinking=False)
