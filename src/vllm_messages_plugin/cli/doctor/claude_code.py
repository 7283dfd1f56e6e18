"""Diagnoses Claude Code: whether it is installed, and which server its settings point to."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.paths import project_settings_path, user_settings_path
from vllm_messages_plugin.cli.claude_config.recommended_settings import conflicts
from vllm_messages_plugin.cli.claude_config.settings_document import read
from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.conformance.client import base_url

VERSION_SECONDS = 20.0
SHARED_FILE = Path(".claude") / "settings.json"
INSTALL = "npm install -g @anthropic-ai/claude-code, if you want it"
NAMES = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
NOTHING: Mapping[str, Any] = {"permissions": {"deny": []}}


def claude(environ: Mapping[str, str], project: Path, url: str, program: str = "claude") -> Iterator[Line]:
    """Yield the lines about the program and its effective settings in a project's directory."""
    yield _program(program)
    places = (user_settings_path(environ), project / SHARED_FILE, project_settings_path(project))
    files = list(dict.fromkeys(places))  # in one's home the first two are one
    settings: dict[str, Any] = {}
    for path in files:
        try:
            found = read(path)
            settings, _ = merge(settings, found)
        except (UnusableSettingsError, OSError) as error:
            yield fail("settings", str(error), "repair the file: Claude Code ignores it, or does not start")
            continue
        if found:
            yield ok("settings", f"{path} ({_points(found)})")
    if not any(path.exists() for path in files):
        yield ok("settings", f"{files[0]} does not exist")
    yield from _variables({**environ, **settings.get("env", {})}, url)
    yield from _conflicts(settings)


def _program(program: str) -> Line:
    path = shutil.which(program)
    if path is None:
        return warn("claude", "not installed", INSTALL)
    return ok("claude", f"{path}, {_version(path)}")


def _version(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own claude
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"which does not report its version ({type(error).__name__})"
    return done.stdout.strip() or f"which ends with status {done.returncode}"


def _points(settings: Mapping[str, Any]) -> str:
    env = settings.get("env")
    target = env.get("ANTHROPIC_BASE_URL") if isinstance(env, dict) else None
    return f"points to {target}" if target else "names no server"


def _variables(variables: Mapping[str, str], url: str) -> Iterator[Line]:
    """Yield the lines about the variables in effect; settings take precedence over the environment."""
    target = variables.get("ANTHROPIC_BASE_URL")
    advice = f"vllm-messages claude-config {base_url(url)} --write, or vllm-messages claude for one run"
    if not target:
        yield warn("Claude Code's server", "Anthropic's own", advice)
        return
    if target.rstrip("/").endswith("/v1"):
        yield fail("Claude Code's server", target, "remove the trailing /v1: Claude Code adds it again")
    elif base_url(target) != base_url(url):
        yield warn("Claude Code's server", target, f"not {base_url(url)}: {advice}")
    else:
        yield ok("Claude Code's server", target)
    missing = [name for name in NAMES if not variables.get(name)]
    if missing:
        yield warn("Claude Code's models", f"{', '.join(missing)} not set", advice)
    else:
        yield ok("Claude Code's models", ", ".join(dict.fromkeys(variables[name] for name in NAMES)))


def _conflicts(settings: Mapping[str, Any]) -> Iterator[Line]:
    present = {"permissions": {}, **settings}
    for found in conflicts(present, NOTHING):
        yield warn("Claude Code's settings", found, "remove it, unless you mean it")
