"""`vllm-messages top`: what a server does now, by key."""

import contextlib
import json
from dataclasses import asdict
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Url


def top(
    url: Url = DEFAULT_URL,
    interval: Annotated[
        float, typer.Option("--interval", help="Seconds between two looks at the server.", min=0.1)
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch the keys, the queue, the prefix cache and the tokens per second of a server.

    Everything comes from the server's /metrics, which needs no key. Numbers per second and shares cover the
    last interval. --json prints one snapshot and ends, as --once does.

    Exit status: 0 done; 2 no server responds, or it has no metrics.
    """
    from rich.console import Console

    from vllm_messages_plugin.cli.top import view
    from vllm_messages_plugin.conformance.client import http_client

    try:
        with http_client(url, 10.0) as http, contextlib.suppress(KeyboardInterrupt):
            if as_json:
                typer.echo(json.dumps(asdict(view.take(http, interval)), indent=2))
            elif once:
                Console().print(view.draw(view.take(http, interval)))
            else:
                view.watch(http, interval)
    except view.NoMetricsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
