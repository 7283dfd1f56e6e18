"""Where Claude Code keeps its settings."""

import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT_FILE = Path(".claude") / "settings.local.json"


def user_settings_path(environ: Mapping[str, str]) -> Path:
    """Return the user's settings file: in CLAUDE_CONFIG_DIR, or else in ~/.claude."""
    folder = environ.get("CLAUDE_CONFIG_DIR") or str(Path("~/.claude").expanduser())
    return Path(folder) / "settings.json"


def project_settings_path(project: Path) -> Path:
    """Return the project's settings file for this user alone, which is not meant for version control."""
    return project / PROJECT_FILE


# By sys.platform; Windows Subsystem for Linux counts as Linux.
MANAGED = {
    "darwin": Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
    "win32": Path("C:/Program Files/ClaudeCode/managed-settings.json"),
}
MANAGED_ELSEWHERE = Path("/etc/claude-code/managed-settings.json")


def managed_settings_path(platform: str = sys.platform) -> Path:
    """Return the settings file of this machine, which takes precedence over every user's own settings."""
    return MANAGED.get(platform, MANAGED_ELSEWHERE)


def settings_path(project: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the project's settings file for this user, or the user's own without a project."""
    return project_settings_path(project) if project else user_settings_path(environ)
