"""`vllm-messages bench`: measures a server's speed and its prefix cache over an agent's session."""

from pathlib import Path
from typing import Annotated

import typer

from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Key, Model, Timeout, Url


def bench(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    runs: Annotated[int, typer.Option("--runs", help="Replies to measure.", min=1)] = 5,
    tokens: Annotated[int, typer.Option("--tokens", help="The longest reply, in tokens.", min=2)] = 64,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Replies at a time.", min=1)] = 1,
    turns: Annotated[int, typer.Option("--turns", help="Turns of the session; 0 for none.", min=0)] = 10,
    png: Annotated[
        Path | None, typer.Option("--png", help="Draw the session into a PNG file.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
    timeout: Timeout = 600.0,
) -> None:
    """Measure the time to the first event, tokens per second, and cache reuse over an agent's session.

    First --runs replies are streamed, --concurrency at a time. Then a session of --turns turns is replayed,
    as a coding agent sends it: tools, a system prompt, and calls and results that accumulate. Each turn
    should find the whole previous turn in the cache, except for the last block. Works with any server that
    implements the Messages API.

    Exit status: 0 done; 1 a reply failed; 2 wrong usage, or no server responds.
    """
    from vllm_messages_plugin.cli.bench.measurement import BenchFailedError, Workload, measure
    from vllm_messages_plugin.conformance.client import UnreachableError

    if png is not None:
        _require_matplotlib()
    try:
        result = measure(
            url, model, api_key, Workload(runs, tokens, concurrency, turns), timeout, quiet=as_json
        )
    except UnreachableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except BenchFailedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    from vllm_messages_plugin.cli.bench.report import draw, show

    show(result, as_json=as_json)
    if png is not None:
        draw(result, png)
        typer.echo(f"Drew {png}", err=True)


def _require_matplotlib() -> None:
    """Exit before anything is measured if matplotlib is missing."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        typer.echo("--png needs matplotlib: pip install matplotlib", err=True)
        raise typer.Exit(2)
