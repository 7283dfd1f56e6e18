"""`vllm-messages doctor`: what is installed, configured and running, and what to do about it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Key, Model, Timeout, Url


def doctor(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    no_server: Annotated[bool, typer.Option("--no-server", help="Diagnose this environment only.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
) -> None:
    """Diagnose the installation, the environment, the server and Claude Code's settings.

    Each line is ok, warn or fail, and the last two say what to do. Nothing is changed; the server is asked
    for its models, its metrics and one token. Keys are not shown.

    Exit status: 0 nothing failed; 1 something failed; 2 wrong usage.
    """
    from vllm_messages_plugin.cli.doctor.report import diagnose, show

    parts = diagnose(url, model, api_key, None if no_server else timeout, os.environ, Path.cwd())
    raise typer.Exit(1 if show(parts, as_json=as_json) else 0)
