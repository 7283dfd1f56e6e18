"""`vllm-messages claude-config`: the Claude Code settings that fit a running server."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.claude_config.shells import Shell
from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Key, Model, SmallModel, Traffic, Url, Window


def claude_config(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    window: Window = 0,
    small_model: SmallModel = "",
    allow_traffic: Traffic = False,
    write: Annotated[bool, typer.Option("--write", help="Merge into Claude Code's user settings.")] = False,
    project: Annotated[
        bool, typer.Option("--project", help="Use this directory's .claude/settings.local.json instead.")
    ] = False,
    managed: Annotated[
        bool, typer.Option("--managed", help="Make the settings of this machine, for all its users.")
    ] = False,
    otel: Annotated[
        str, typer.Option("--otel", metavar="URL", help="Send Claude Code's own metrics to this collector.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last --write; no server is asked.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --undo: also if the file was changed since.")
    ] = False,
    shell: Annotated[
        Shell | None, typer.Option("--shell", help="Print only variables, in the syntax of this shell.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the Claude Code settings that fit a running server, or write them.

    The server reports its model, window and capabilities. --write merges the settings into
    $CLAUDE_CONFIG_DIR/settings.json or ~/.claude/settings.json under a lock, keeps everything else in the
    file, makes a backup and prints what changed; --undo restores the backup. With --project the file is
    .claude/settings.local.json in this directory, and the key is not written: Claude Code reads it from
    VLLM_API_KEY when it starts. --managed makes the file that an administrator ships to every machine; it
    takes precedence over the users' own settings and has no key either. For a shell: eval "$(vllm-messages
    claude-config --shell bash)".

    Exit status: 0 done; 2 wrong usage, no server responds, or a settings file that cannot be merged into.
    """
    from vllm_messages_plugin.cli.claude_config import steps as run
    from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
    from vllm_messages_plugin.cli.claude_config.paths import managed_settings_path, settings_path
    from vllm_messages_plugin.conformance.client import UnreachableError

    try:
        if project and managed:
            raise UnusableSettingsError("--project and --managed exclude each other")
        path = (
            managed_settings_path() if managed else settings_path(Path.cwd() if project else None, os.environ)
        )
        if undo:
            run.undo_and_print(path, os.environ, force=force, as_json=as_json)
            return
        served = run.ask_server(url, model, api_key, window)
        keyless = project or managed
        request = run.ConfigRequest(url, api_key, small_model, allow_traffic, keyless, otel)
        settings = run.settings_for_request(served, request)
        run.show(served, settings, path, shell=shell, as_json=as_json)
        if write:
            run.write(path, settings, os.environ, for_everybody=managed)
            run.print_key_location(request)
    except (UnreachableError, UnusableSettingsError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
