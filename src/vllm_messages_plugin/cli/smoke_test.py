"""`vllm-messages smoke-test`: does a running server keep the Messages protocol?

Only typer is imported here; `smoke_run` (httpx, the checks, the tables) comes in when the command runs.
"""

from typing import Annotated

import typer

DEFAULT_URL = "http://localhost:8000"

Url = Annotated[str, typer.Argument(help="The server's root; a /v1 at its end is cut.", show_default=True)]
Model = Annotated[str, typer.Option("--model", help="The model's name.", show_default="the first one served")]
Key = Annotated[str, typer.Option("--api-key", help="The server's key.", envvar="VLLM_API_KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON, for programs.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for one answer.", min=0.1)]


def smoke_test(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    as_json: AsJson = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Make only this check; repeatable.")
    ] = None,
    timeout: Timeout = 120.0,
) -> None:
    """Check that a running server keeps the Anthropic Messages protocol.

    Works with any server that speaks it, and with any model: no check needs a clever answer. For each
    check that fails a curl line is printed that repeats the request.

    Exit status: 0 every check passed or was skipped; 1 a check failed; 2 wrong usage, or no server answers.
    """
    from vllm_messages_plugin.cli.client import UnreachableError
    from vllm_messages_plugin.cli.smoke_run import choose_checks, run_against

    try:
        checks = choose_checks(only or [])
        failed = run_against(url, model, api_key, checks, timeout=timeout, as_json=as_json)
    except (UnreachableError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(1 if failed else 0)
