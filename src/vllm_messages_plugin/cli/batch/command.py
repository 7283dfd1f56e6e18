"""`vllm-messages batch`: a file of requests in, a file of results out."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Key, Timeout


class Action(Enum):
    """What to do: `run` takes a FILE, `results` and `cancel` take the ID of a batch."""

    RUN = "run"
    RESULTS = "results"
    CANCEL = "cancel"


def batch(
    action: Annotated[Action, typer.Argument(help="run takes a FILE; results and cancel take an ID.")],
    target: Annotated[
        str, typer.Argument(metavar="FILE_OR_ID", help="A file of requests, or the id of a batch.")
    ],
    url: Annotated[
        str, typer.Option("--url", help="The server's URL; a trailing /v1 is removed.")
    ] = DEFAULT_URL,
    api_key: Key = "",
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the results.", show_default="standard output")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Print the id of the new batch and end.")] = False,
    poll: Annotated[
        float, typer.Option("--poll", help="Seconds between two looks at the batch.", min=0.05)
    ] = 2.0,
    as_json: AsJson = False,
    timeout: Timeout = 600.0,
) -> None:
    """Run a file of requests as a batch, wait for it and write its results.

    Each line of FILE is a request, `{"custom_id": "a", "params": {...}}`, where `params` is a body of
    /v1/messages; a file with one object `{"requests": [...]}` is sent as it is. Each line of the results is
    `{"custom_id": "a", "result": {...}}`, in the order of the requests. Ctrl-C leaves the batch running:
    `results` waits for it again. --json prints a summary, and the results go to --output alone.

    Exit status: 0 every item succeeded; 1 the batch was refused, or an item did not succeed; 2 wrong usage,
    or no server responds.
    """
    from vllm_messages_plugin.cli.batch import steps

    options = steps.BatchOptions(Path(output) if output else None, poll, detach=detach, as_json=as_json)
    try:
        with steps.connect(url, api_key, timeout) as http:
            match action:
                case Action.RUN:
                    succeeded = steps.run(http, Path(target), options)
                case Action.RESULTS:
                    succeeded = steps.results(http, target, options)
                case Action.CANCEL:
                    succeeded = steps.cancel(http, target, options)
    except steps.RefusedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except (steps.UsageError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if succeeded else 1)
