"""Diagnoses Claude Code: whether it is installed, and which server its settings point to."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.paths import project_settings_path, user_settings_path
from vllm_messages_plugin.cli.claude_config.recommended_settings import conflicts
from vllm_messages_plugin.cli.claude_config.settings_document import read
from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.conformance.client import base_url
from vllm_messages_plugin.conformance.served_models import ModelEntry

VERSION_SECONDS = 20.0
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
SHARED_FILE = Path(".claude") / "settings.json"
INSTALL = "npm install -g @anthropic-ai/claude-code, if you want it"
OLDEST_TESTED = (2, 1, 330)
UPDATE = "update Claude Code: npm install -g @anthropic-ai/claude-code@latest"
NAMES = ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
WINDOW_VARIABLE = "CLAUDE_CODE_MAX_CONTEXT_TOKENS"
NOTHING: Mapping[str, Any] = {"permissions": {"deny": []}}


def claude(
    environ: Mapping[str, str],
    project: Path,
    url: str,
    program: str = "claude",
    served: Sequence[ModelEntry] = (),
) -> Iterator[Line]:
    """Yield the lines about the program and its effective settings in a project's directory.

    Args:
        environ: The environment variables.
        project: The directory whose settings count.
        url: The server that Claude Code should use.
        program: The Claude Code program.
        served: The models that the server lists; empty if it was not asked.
    """
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
    variables = {**environ, **settings.get("env", {})}
    yield from _variables(variables, url)
    if base_url(variables.get("ANTHROPIC_BASE_URL", "")) == base_url(url):
        yield from _served_models(variables, url, served)
    yield from _conflicts(settings)


def _program(program: str) -> Line:
    path = shutil.which(program)
    if path is None:
        return warn("claude", "not installed", INSTALL)
    version = _version(path)
    numbers = VERSION.match(version)
    if numbers and tuple(map(int, numbers.groups())) < OLDEST_TESTED:
        oldest = ".".join(map(str, OLDEST_TESTED))
        return warn("claude", f"{path}, {version}: older than {oldest}, the oldest that was tested", UPDATE)
    return ok("claude", f"{path}, {version}")


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


def _served_models(variables: Mapping[str, str], url: str, served: Sequence[ModelEntry]) -> Iterator[Line]:
    """Compare the models and the window of the settings with the server's."""
    rewrite = f"vllm-messages claude-config {base_url(url)} --write"
    listed = {model.name: model for model in served}
    unknown = [name for name in dict.fromkeys(map(variables.get, NAMES)) if name and name not in listed]
    if listed and unknown:
        found = f"{', '.join(unknown)} is not served, but {', '.join(listed)}"
        yield warn("Claude Code's models", found, f"unless it is an alias: {rewrite}")
    model = listed.get(variables.get("ANTHROPIC_MODEL", ""))
    if model and model.window:
        yield _window(variables.get(WINDOW_VARIABLE), model.window, rewrite)


def _window(configured: str | None, window: int, rewrite: str) -> Line:
    name = "Claude Code's window"
    if not configured:
        return warn(name, f"{WINDOW_VARIABLE} is not set; the server has {window}", rewrite)
    if not configured.isdecimal():
        return fail(name, f"{WINDOW_VARIABLE}={configured!r} is not a number of tokens", rewrite)
    found = f"{configured} tokens, and the server's {window}"
    if int(configured) > window:
        return fail(name, found, f"prompts will be too long before Claude Code compacts them: {rewrite}")
    if int(configured) < window:
        return warn(name, found, f"Claude Code compacts earlier than necessary: {rewrite}")
    return ok(name, f"{window} tokens, as the server's")


def _conflicts(settings: Mapping[str, Any]) -> Iterator[Line]:
    present = {"permissions": {}, **settings}
    for found in conflicts(present, NOTHING):
        yield warn("Claude Code's settings", found, "remove it, unless you mean it")
