"""The steps of claude-config: ask the server, print the settings, write them, undo a write."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vllm_messages_plugin.cli.claude_config.atomic_file import NEW_FILE_MODE
from vllm_messages_plugin.cli.claude_config.journal import user_journal
from vllm_messages_plugin.cli.claude_config.merge import NO_KEY, SECRETS, merge
from vllm_messages_plugin.cli.claude_config.paths import user_settings_path
from vllm_messages_plugin.cli.claude_config.recommended_settings import (
    KEY_VARIABLE,
    REASONS,
    command_for,
    conflicts,
    exports,
    flatten,
    notes_for,
    settings_for,
    stale_settings,
    start_line,
    without_key,
)
from vllm_messages_plugin.cli.claude_config.settings_document import read, to_bytes
from vllm_messages_plugin.cli.claude_config.settings_file import Written
from vllm_messages_plugin.cli.claude_config.settings_file import write as write_settings
from vllm_messages_plugin.cli.claude_config.settings_undo import to_json, undo
from vllm_messages_plugin.cli.claude_config.shells import Shell
from vllm_messages_plugin.conformance.client import UnreachableError, base_url, http_client
from vllm_messages_plugin.conformance.served_models import (
    ModelEntry,
    choose_model,
    is_known_to_claude_code,
    list_models,
)

ANSWER_SECONDS = 10.0
FOR_EVERYBODY = 0o644  # a machine's settings, which have no key and which every user's Claude Code reads
BORDERS = 7
"""Columns of the terminal that the borders and the padding of a table of two columns take."""
# The longest name of a setting: a name broken over two lines could not be copied.
NAME_WIDTH = max(len(name.removeprefix("env.")) for name in REASONS)


@dataclass(frozen=True)
class ConfigRequest:
    """What the user asked for, besides what the server reports."""

    url: str
    key: str = ""
    small_model: str = ""
    traffic: bool = False
    keyless: bool = False
    otel: str = ""


def ask_server(url: str, model: str, key: str, window: int) -> ModelEntry:
    """Return the model, its window and its capabilities, as the server reports or the user gives them."""
    with http_client(url, timeout=ANSWER_SECONDS) as http:
        listed = list_models(http, key or None, given=model)
    served = choose_model(listed, model)
    if not (window or served.window):
        raise UnreachableError(_windowless(served.name, [entry.name for entry in listed]))
    return replace(served, window=window or served.window)


def _windowless(name: str, listed: Sequence[str]) -> str:
    """Return the advice for a model whose window is unknown."""
    if name in listed:
        return f"The server does not report the window of {name}: give --window TOKENS"
    return (
        f"The server does not list {name}, but {', '.join(listed)}: give another --model, or --window TOKENS"
    )


def settings_for_request(served: ModelEntry, request: ConfigRequest) -> dict[str, Any]:
    """Return the settings for a served model."""
    settings = settings_for(
        served.name,
        served.window or 0,
        base_url(request.url),
        request.key or None,
        small_model=request.small_model,
        thinking=served.thinking,
        web_search=bool(served.web_search),
        traffic=request.traffic,
        otel=request.otel,
    )
    to_bytes(settings)  # a name that cannot be written as UTF-8 is refused here
    return without_key(settings, has_key=bool(request.key)) if request.keyless else settings


def show(
    served: ModelEntry, settings: Mapping[str, Any], path: Path, *, shell: Shell | None, as_json: bool
) -> None:
    """Print the settings: as shell lines, as JSON, or as a table with reasons."""
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    if shell:
        _print_exports(settings, served.window or 0, shell)
    elif as_json:
        typer.echo(text)
    else:
        console = Console()
        _print_reasons(console, served, settings)
        console.print(f"\n[bold]{escape(str(path))}[/] (or run this command with --write):\n", soft_wrap=True)
        typer.echo(text)
    if not as_json:
        _print_notes(served)


def _print_exports(settings: Mapping[str, Any], window: int, shell: Shell) -> None:
    for line in exports(settings, shell):
        typer.echo(line)
    typer.echo(f"# {start_line(settings, command_for(window).split(), shell)}")


def _print_reasons(console: Console, served: ModelEntry, settings: Mapping[str, Any]) -> None:
    """Print the settings as a table with the reason for each."""
    title = f"Claude Code with {escape(served.name)}, {served.window} tokens{_capabilities(served)}"
    table = Table(title=title, title_justify="left")
    width = min(NAME_WIDTH, console.width // 2)
    table.add_column("setting and value", overflow="fold", min_width=width)
    # Without a limit rich makes the table too wide, by the padding of a column with a least width.
    table.add_column("reason", overflow="fold", max_width=max(console.width - width - BORDERS, 1))
    for name, value in flatten(settings).items():
        short = name.removeprefix("env.")
        shown = Text.assemble((short, "bold"), "\n", (_displayed(short, value), "green"))
        table.add_row(shown, REASONS[name])
    console.print(table)


def _capabilities(served: ModelEntry) -> str:
    """Return what the server says the model can do, as the end of a title."""
    capabilities = {"thinking": served.thinking, "effort": served.effort, "images": served.images}
    words = [f"{'' if can else 'no '}{name}" for name, can in capabilities.items() if can is not None]
    return "; " + ", ".join(words) if words else ""


def _displayed(name: str, value: Any) -> str:
    """Return a value for the table; a key is not displayed."""
    if name in SECRETS and value not in ("", NO_KEY):
        return "(your key)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_notes(served: ModelEntry) -> None:
    console = Console(stderr=True)
    for note in notes_for(served, served.window or 0, known=is_known_to_claude_code(served.name)):
        console.print(f"[yellow]Note:[/] {note}")


def write(
    path: Path, settings: Mapping[str, Any], environ: Mapping[str, str], *, for_everybody: bool = False
) -> None:
    """Merge the settings into a file and print, on the error stream, what changed."""
    own = read(user_settings_path(environ))
    mode = FOR_EVERYBODY if for_everybody else NEW_FILE_MODE
    written = write_settings(path, settings, user_journal(environ), mode)
    _print_changes(written)
    everywhere, _ = merge(own, written.settings)
    if left := stale_settings(written.settings, settings):
        typer.echo(
            "Kept, but meant for an earlier model or a smaller window; remove what you do not want: "
            + ", ".join(left),
            err=True,
        )
    if against := conflicts(everywhere, settings):
        typer.echo(f"Kept, but works against these settings: {', '.join(against)}", err=True)


def _print_changes(written: Written) -> None:
    if written.made_private is not None:
        typer.echo(
            f"{written.path} has a key, so only you can read it now: its permissions were "
            f"{written.made_private:04o} and are 0600",
            err=True,
        )
    if not written.changes:
        typer.echo(f"{written.path} has all these settings already; nothing was written", err=True)
        return
    backup = f" (backup: {written.backup})" if written.backup else ""
    lines = [f"Wrote {written.path}{backup}", *map(str, written.changes)]
    typer.echo("\n  ".join(lines) + "\n  --undo reverts this", err=True)


def print_key_location(request: ConfigRequest) -> None:
    """For a project's file, which contains no key, print where Claude Code finds the key."""
    if request.keyless and request.key:
        typer.echo(
            f"The key is not in the file: set {KEY_VARIABLE} before you start claude, which reads it",
            err=True,
        )


def undo_and_print(path: Path, environ: Mapping[str, str], *, force: bool, as_json: bool) -> None:
    """Undo the last write and print what was restored."""
    undone = undo(path, user_journal(environ), force=force)
    if as_json:
        typer.echo(json.dumps(to_json(undone), indent=2))
        return
    what = "Removed, as there was no such file before" if undone.removed else "Restored"
    aside = f" (a copy of the changed file is {undone.copy_of_changed})" if undone.copy_of_changed else ""
    typer.echo(f"{what}: {undone.path}{aside}")
