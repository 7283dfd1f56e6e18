"""`vllm-messages store`: the database and the bytes behind files and batches."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import AsJson


class Action(Enum):
    """What to do; `export` takes a DIRECTORY."""

    STATUS = "status"
    PRUNE = "prune"
    EXPORT = "export"


def store(
    action: Annotated[Action, typer.Argument(help="export takes a DIRECTORY.")],
    directory: Annotated[
        str, typer.Argument(metavar="DIRECTORY", help="Where an export goes.", show_default=False)
    ] = "",
    database: Annotated[
        str,
        typer.Option(
            "--database", help="The postgresql:// URL.", envvar="VLLM_MESSAGES_STORE", show_default="SQLite"
        ),
    ] = "",
    data: Annotated[
        str,
        typer.Option(
            "--data", help="The data directory.", envvar="VLLM_MESSAGES_DATA", show_default="the user's"
        ),
    ] = "",
    contents: Annotated[
        str,
        typer.Option(
            "--contents",
            help="The fsspec URL of the bytes.",
            envvar="VLLM_MESSAGES_STORE_CONTENTS",
            show_default="the data directory",
        ),
    ] = "",
    results_days: Annotated[
        float,
        typer.Option(
            "--results-days",
            help="Days for which prune keeps results.",
            envvar="VLLM_MESSAGES_BATCH_RESULTS_DAYS",
            min=0.0,
        ),
    ] = 29.0,
    as_json: AsJson = False,
) -> None:
    """Look at the store of files, batches and threads, remove what is no longer kept, or copy it.

    The settings are the server's own; it may run meanwhile. `status` changes nothing. `prune` removes expired
    files and threads, old results and what was deleted, as a server does every ten minutes. `export` writes
    each owner's files, batches and results into a new DIRECTORY: bytes as they are, the rest as JSON lines.
    Threads, which live for minutes, are left out.

    Exit status: 0 done; 1 the store does not work; 2 wrong usage, or the extra `store` is not installed.
    """
    from vllm_messages_plugin.cli.store import steps

    try:
        if (action is Action.EXPORT) != bool(directory):
            raise steps.UsageError(f"{action.value} takes {'no' if directory else 'a'} directory")
        place = steps.StorePlace(database, data, contents, results_days)
        match action:
            case Action.STATUS:
                steps.status(place, as_json=as_json)
            case Action.PRUNE:
                steps.prune(place, as_json=as_json)
            case Action.EXPORT:
                steps.export(place, Path(directory), as_json=as_json)
    except steps.UsageError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except steps.StoreFailedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
