"""Builds Claude Code's command line and environment, and starts it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError, merge
from vllm_messages_plugin.cli.claude_config.recommended_settings import KEY_VARIABLE, command_for, notes_for
from vllm_messages_plugin.cli.claude_config.settings_document import read
from vllm_messages_plugin.conformance.client import base_url, is_loopback
from vllm_messages_plugin.conformance.served_models import ModelEntry, is_known_to_claude_code

# A user's own account, provider or server: none of it is meant for this run.
NOT_INHERITED = ("ANTHROPIC_", "CLAUDE_CODE_USE_")
SETTINGS = "--settings"


def find_program(name: str) -> str | None:
    """Return the path of the Claude Code program, or None if it is not installed."""
    return shutil.which(name)


def command_line(program: str, window: int, settings: Mapping[str, Any], rest: Sequence[str]) -> list[str]:
    """Return Claude Code's command line.

    Claude Code reads only its last --settings, so settings among the user's own arguments are merged in.

    Args:
        program: The path of the program.
        window: The server's context window in tokens.
        settings: The settings for the server.
        rest: The user's own arguments.

    Raises:
        UnusableSettingsError: The user's own --settings cannot be read or merged into.
    """
    own, others = _user_settings(rest)
    merged, _ = merge(own, settings)
    bare = [flag for flag in command_for(window).split()[1:] if flag not in others]
    text = json.dumps(merged, ensure_ascii=False, separators=(",", ":"))
    return [program, *bare, SETTINGS, text, *others]


def _user_settings(rest: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Split the user's arguments into the settings among them and the other arguments."""
    words, others, found = iter(rest), [], ""
    for word in words:
        name, equals, value = word.partition("=")
        if name == SETTINGS:
            found = value if equals else next(words, "")
        else:
            others.append(word)
    return (_loaded(found) if found else {}), others


def _loaded(text: str) -> dict[str, Any]:
    """Return the settings that an argument of --settings gives, as JSON or as the path of a file."""
    if not text.lstrip().startswith("{"):
        return read(Path(text))
    try:
        settings: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UnusableSettingsError(f"{SETTINGS} is not valid JSON ({error})") from None
    return settings


def environment(settings: Mapping[str, Any], key: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return Claude Code's environment: this one without other accounts, with the settings' variables."""
    kept = {name: value for name, value in environ.items() if not name.startswith(NOT_INHERITED)}
    variables = {name: value for name, value in settings["env"].items() if value}
    return (
        kept
        | variables
        | ({KEY_VARIABLE: key} if key else {})
        | _proxy_exceptions(variables["ANTHROPIC_BASE_URL"], environ)
    )


def _proxy_exceptions(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to a server on this machine away from a proxy."""
    if not is_loopback(url):
        return {}
    present = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    hosts = ",".join(filter(None, [present, "localhost,127.0.0.1,::1"]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def announce(served: ModelEntry, url: str) -> None:
    """Print which model is used, and what the settings cannot solve."""
    typer.secho(
        f"Claude Code with {served.name} ({served.window} tokens) at {base_url(url)}", bold=True, err=True
    )
    for note in notes_for(served, served.window or 0, known=is_known_to_claude_code(served.name)):
        typer.echo(f"Note: {note}", err=True)


def print_command(command: Sequence[str]) -> None:
    """Print the command as a shell takes it."""
    typer.echo(shlex.join(command))


def start(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by Claude Code, and take over its exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # no exec there that a terminal would follow
        raise typer.Exit(subprocess.run(command, env=dict(environ), check=False).returncode)  # noqa: S603
    os.execve(command[0], list(command), dict(environ))  # noqa: S606 - no shell; claude gets our terminal
