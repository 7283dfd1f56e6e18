"""`vllm-messages demo`: a small model, a real vLLM server, the smoke test and one reply.

Only typer is imported at the top, so that `--help` stays fast.
"""

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from vllm_messages_plugin.cli.serve import require_vllm


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running until Ctrl-C.")] = False,
    port: Annotated[
        int, typer.Option("--port", help="The server's port.", show_default="a free one", min=0, max=65535)
    ] = 0,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colors.")] = False,
) -> None:
    """Start vLLM with a small model, check it, ask it one question and show how to connect Claude Code.

    Exit status: 0 every check passed and a reply came; 1 otherwise; 2 something is not installed.
    """
    require_vllm()
    if find_spec("anthropic") is None:
        typer.echo("The demo needs the official SDK: pip install 'vllm-messages-plugin[demo]'", err=True)
        raise typer.Exit(2)
    if no_color:
        os.environ["NO_COLOR"] = "1"
    from vllm_messages_plugin.cli.demo.steps import run_demo

    raise typer.Exit(0 if run_demo(port=port, keep=keep) else 1)
