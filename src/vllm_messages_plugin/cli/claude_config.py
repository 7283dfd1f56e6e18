"""`vllm-messages claude-config`: the Claude Code settings that fit a running server."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vllm_messages_plugin.cli.smoke_test import DEFAULT_URL, Key, Model, Url

if TYPE_CHECKING:
    from rich.console import Console

    from vllm_messages_plugin.cli.models import Served


def claude_config(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    window: Annotated[
        int,
        typer.Option("--window", help="The window in tokens.", show_default="what the server tells", min=0),
    ] = 0,
    write: Annotated[bool, typer.Option("--write", help="Merge into Claude Code's user settings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print only the settings, as JSON.")] = False,
) -> None:
    """Print the Claude Code settings that fit a running server, or write them.

    The server tells its model and window. --write merges the settings into $CLAUDE_CONFIG_DIR/settings.json
    or ~/.claude/settings.json, keeps all that is there, leaves a backup beside it and says what changed.

    Exit status: 0 done; 2 wrong usage, no server answers, or a settings file that cannot be merged into.
    """
    from vllm_messages_plugin.cli.claude_settings import settings_for
    from vllm_messages_plugin.cli.client import UnreachableError, base_url
    from vllm_messages_plugin.cli.settings_file import UnusableSettingsError

    try:
        served = _ask_server(url, model, api_key, window)
        settings = settings_for(served.name, served.window or 0, base_url(url), api_key or None)
        _print(served, settings, as_json=as_json)
        if write:
            _write(settings)
    except (UnreachableError, UnusableSettingsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _ask_server(url: str, model: str, key: str, window: int) -> "Served":
    """The model and its window, as the server tells them or the user says."""
    from vllm_messages_plugin.cli.client import UnreachableError, http_client
    from vllm_messages_plugin.cli.models import Served, choose_model, list_models

    with http_client(url, timeout=10.0) as http:
        served = choose_model(list_models(http, key or None, given=model), model)
    if not (window or served.window):
        raise UnreachableError(f"The server does not tell the window of {served.name}: give --window TOKENS")
    return Served(served.name, window or served.window)


def _print(served: "Served", settings: Mapping[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    text = json.dumps(settings, indent=2, ensure_ascii=False)
    if as_json:
        typer.echo(text)
        return
    console = Console()
    _print_reasons(console, served, settings)
    console.print("\n[bold]~/.claude/settings.json[/] (or run this command with --write):\n")
    typer.echo(text)
    _print_notes(Console(stderr=True), served)


def _print_reasons(console: "Console", served: "Served", settings: Mapping[str, Any]) -> None:
    """The settings as a table that says why each is there."""
    from rich.markup import escape
    from rich.table import Table

    from vllm_messages_plugin.cli.claude_settings import REASONS, flatten

    table = Table(
        title=f"Claude Code with {escape(served.name)}, {served.window} tokens", title_justify="left"
    )
    for name in ("setting", "value", "why"):
        table.add_column(name, overflow="fold")
    for name, value in flatten(settings).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(name.removeprefix("env."), escape(shown), REASONS[name])
    console.print(table)


def _print_notes(console: "Console", served: "Served") -> None:
    from vllm_messages_plugin.cli.claude_settings import notes_for
    from vllm_messages_plugin.cli.models import is_known

    for note in notes_for(served.name, served.window or 0, known=is_known(served.name)):
        console.print(f"[yellow]Note:[/] {note}")


def _write(settings: Mapping[str, Any]) -> None:
    """Merge into the user's file and say, on the error stream, exactly what that did."""
    from vllm_messages_plugin.cli.claude_settings import leftovers
    from vllm_messages_plugin.cli.settings_file import user_settings_path
    from vllm_messages_plugin.cli.settings_file import write as write_settings

    written = write_settings(user_settings_path(os.environ), settings)
    backup = f" (backup: {written.backup})" if written.backup else ""
    if written.changes:
        typer.echo("\n  ".join([f"Wrote {written.path}{backup}", *map(str, written.changes)]), err=True)
    else:
        typer.echo(f"{written.path} says all that already; nothing was written", err=True)
    if left := leftovers(written.settings, settings):
        typer.echo(
            f"Kept, but meant for a smaller window; remove what you did not want: {', '.join(left)}", err=True
        )
