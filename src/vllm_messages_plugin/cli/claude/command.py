"""`vllm-messages claude`: starts Claude Code with a running server, for one run, and writes no file."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from vllm_messages_plugin.cli.options import (
    DEFAULT_URL,
    Key,
    Model,
    Program,
    SmallModel,
    Traffic,
    Url,
    Window,
)

PASSED_ARGUMENTS = "vllm_messages_plugin.rest"
INSTALL = (
    "Claude Code is not installed (no `claude` on the PATH). Install it with\n"
    "  npm install -g @anthropic-ai/claude-code\n"
    "or, without npm,\n"
    "  curl -fsSL https://claude.ai/install.sh | bash"
)


class PassArgumentsToClaude(TyperCommand):
    """A command that leaves everything after `--` alone, so that no option of Claude Code becomes the URL."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the first `--` and keep the others in the context."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[PASSED_ARGUMENTS] = args[end + 1 :]
        parsed: list[str] = super().parse_args(ctx, args[:end])
        return parsed


def claude(
    ctx: typer.Context,
    url: Url = DEFAULT_URL,
    model: Model = "",
    api_key: Key = "",
    window: Window = 0,
    small_model: SmallModel = "",
    allow_traffic: Traffic = False,
    program: Program = "claude",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and start nothing.")] = False,
) -> None:
    """Start Claude Code with a running server, for this one run.

    Everything after -- goes to claude: vllm-messages claude http://gpu:8000 -- -p "What is here?". The
    settings are those of claude-config. They are passed on the command line, where they take precedence over
    the user's own; the key is passed in the environment only, and no file is written. With a window below
    32k, `claude --bare` is started.

    Exit status: claude's own; 2 wrong usage, no server responds, or claude is not installed.
    """
    from vllm_messages_plugin.cli.claude import launch as run
    from vllm_messages_plugin.cli.claude_config.merge import UnusableSettingsError
    from vllm_messages_plugin.cli.claude_config.steps import ConfigRequest, ask_server, settings_for_request
    from vllm_messages_plugin.conformance.client import UnreachableError

    try:
        path = run.find_program(program)
        if path is None:
            typer.echo(INSTALL, err=True)
            raise typer.Exit(2)
        served = ask_server(url, model, api_key, window)
        request = ConfigRequest(url, api_key, small_model, traffic=allow_traffic, keyless=True)
        settings = settings_for_request(served, request)
        command = run.command_line(path, served.window or 0, settings, ctx.meta[PASSED_ARGUMENTS])
        environ = run.environment(settings, api_key, os.environ)
    except (UnreachableError, UnusableSettingsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    run.announce(served, url)
    if dry_run:
        run.print_command(command)
    else:
        run.start(command, environ)
