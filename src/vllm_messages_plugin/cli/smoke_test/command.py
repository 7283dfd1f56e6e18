"""`vllm-messages smoke-test`: checks whether a running server keeps the Messages protocol.

Only typer is imported at the top, so that `--help` stays fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vllm_messages_plugin.cli.options import DEFAULT_URL, AsJson, Key, Model, Program, Timeout, Url

if TYPE_CHECKING:
    from vllm_messages_plugin.conformance.check import Check


def smoke_test(
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    as_json: AsJson = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Run only this check; repeatable.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="Run only this group; repeatable.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the checks and run none.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the results as JUnit XML.", dir_okay=False)
    ] = None,
    claude_code: Annotated[
        bool, typer.Option("--claude-code", help="Also drive the real Claude Code, if it is installed.")
    ] = False,
    program: Program = "claude",
    yes: Annotated[
        bool, typer.Option("--yes", help="Allow calls to Anthropic's own API, which cost money.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the traceback of a check that has a bug itself.")
    ] = False,
    timeout: Timeout = 120.0,
) -> None:
    """Check that a running server keeps the Anthropic Messages protocol.

    Works with any server that implements it, and with any model: no check depends on the quality of the
    output. A check that does not apply is skipped, with the reason. For each check that fails, a curl command
    is printed that repeats the request.

    Exit status: 0 every check passed or was skipped; 1 a check failed; 2 wrong usage, or no server responds;
    3 no check failed, but a check raised an exception, which is a bug in the check and not in the server.
    """
    from vllm_messages_plugin.conformance.client import UnreachableError
    from vllm_messages_plugin.conformance.run import RunOptions, choose_checks, exit_status, run_against

    if list_them:
        _list()
        return
    options = RunOptions(timeout, as_json, junit, allow_paid=yes, tracebacks=traceback)
    try:
        checks = choose_checks(_checks(program if claude_code else None), only or [], group or [])
        findings = run_against(url, model, api_key, checks, options)
    except (UnreachableError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(exit_status(findings))


def _checks(program: str | None) -> "tuple[Check, ...]":
    """All checks; the ones that drive Claude Code are skipped without a program that is installed."""
    import shutil

    from vllm_messages_plugin.cli.smoke_test.checks import all_checks

    return all_checks(shutil.which(program) if program else None)


def _list() -> None:
    from rich.console import Console

    from vllm_messages_plugin.cli.smoke_test.checks import all_checks
    from vllm_messages_plugin.conformance.report import list_checks

    list_checks(Console(), all_checks())
