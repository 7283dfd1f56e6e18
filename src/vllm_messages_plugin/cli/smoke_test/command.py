"""`vllm-messages smoke-test`: does a running server keep the Messages protocol?

Only typer is imported here; `smoke_run` (httpx, the checks, the tables) comes in when the command runs.
"""

from pathlib import Path
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
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="Make only this group; repeatable.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the checks and make none.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the findings as JUnit XML.", dir_okay=False)
    ] = None,
    claude_code: Annotated[
        bool, typer.Option("--claude-code", help="Drive the real claude as well, if it is installed.")
    ] = False,
    program: Annotated[str, typer.Option("--program", help="Claude Code's program.")] = "claude",
    yes: Annotated[bool, typer.Option("--yes", help="Ask Anthropic's own API, which costs money.")] = False,
    timeout: Timeout = 120.0,
) -> None:
    """Check that a running server keeps the Anthropic Messages protocol.

    Works with any server that speaks it, and with any model: no check needs a clever answer. What cannot
    be checked is skipped, with the reason. For each check that fails a curl line is printed that repeats
    the request.

    Exit status: 0 every check passed or was skipped; 1 a check failed; 2 wrong usage, or no server answers.
    """
    from vllm_messages_plugin.conformance.client import UnreachableError
    from vllm_messages_plugin.conformance.run import Plan, choose_checks, run_against

    if list_them:
        _list()
        return
    plan = Plan(timeout, as_json, junit, program if claude_code else None, paid=yes)
    try:
        checks = choose_checks(only or [], group or [])
        failed = run_against(url, model, api_key, checks, plan)
    except (UnreachableError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(1 if failed else 0)


def _list() -> None:
    from rich.console import Console

    from vllm_messages_plugin.conformance.report import list_checks

    list_checks(Console())
