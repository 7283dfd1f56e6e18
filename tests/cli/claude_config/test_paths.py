"""Where Claude Code keeps its settings."""

from pathlib import Path

from vllm_messages_plugin.cli.claude_config.journal import user_journal
from vllm_messages_plugin.cli.claude_config.paths import (
    managed_settings_path,
    project_settings_path,
    user_settings_path,
)


def test_a_machines_settings_live_where_its_system_keeps_them() -> None:
    assert managed_settings_path("linux") == Path("/etc/claude-code/managed-settings.json")
    assert managed_settings_path("darwin").parent == Path("/Library/Application Support/ClaudeCode")
    assert managed_settings_path("win32").name == "managed-settings.json"


def test_the_settings_live_where_claude_code_looks() -> None:
    assert project_settings_path(Path("/p")) == Path("/p/.claude/settings.local.json")
    assert user_journal({"CLAUDE_CONFIG_DIR": "/x"}).folder == Path("/x/vllm-messages")
    assert user_settings_path({"CLAUDE_CONFIG_DIR": "/x"}) == Path("/x/settings.json")
    assert user_settings_path({}) == Path("~/.claude/settings.json").expanduser()
