"""`vllm-messages flags`: the `vllm serve` command that fits a model, and why. No network, no vLLM."""

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vllm_messages_plugin.cli.options import AsJson

if TYPE_CHECKING:
    from vllm_messages_plugin.cli.flags.advice import Advice


def flags(
    model: Annotated[
        str, typer.Argument(metavar="MODEL_OR_DIR", help="A directory, or a name in the Hugging Face cache.")
    ],
    chat_template: Annotated[
        Path | None,
        typer.Option(help="A chat template that replaces the model's own.", exists=True, dir_okay=False),
    ] = None,
    tokenizer_mode: Annotated[str, typer.Option(help="The value of vLLM's --tokenizer-mode.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print the vllm serve command that fits a model, with a reason for each flag.

    Reads the model's own files, from a directory or the Hugging Face cache, and renders its chat template to
    find how it writes tool calls and thinking. The Messages routes need no flag: the plugin does the same
    when the server starts. The flags are for vLLM's own routes, /v1/chat/completions and /v1/responses.

    Exit status: 0 done; 2 the model was not found.
    """
    from vllm_messages_plugin.cli.flags.advice import advise, to_json
    from vllm_messages_plugin.cli.flags.model_files import NoModelError, read_model

    try:
        found = read_model(model, os.environ, tokenizer_mode, chat_template)
    except NoModelError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    given = ("--chat-template", str(chat_template)) if chat_template else ()
    advice = advise(found, given)
    if as_json:
        typer.echo(json.dumps(to_json(found, advice), indent=2, ensure_ascii=False))
    else:
        _print(str(found.directory), advice)


def _print(directory: str, advice: "Advice") -> None:
    typer.echo(f"Read from {directory}")
    _heading("For /v1/messages")
    typer.secho("  " + shlex.join(advice.messages), fg="green")
    typer.echo("    No flag is needed: the plugin follows the chat template.")
    _heading("For vLLM's own /v1/chat/completions and /v1/responses")
    typer.secho("  " + shlex.join(advice.openai), fg="green")
    for flag in advice.flags:
        typer.echo(f"    {' '.join(flag.words)}: {flag.reason}")
    for note in advice.notes:
        typer.echo(f"    {note}")
    _heading("To consider for agents")
    for option in advice.agents:
        typer.echo(f"  {option.text}")
        typer.echo(f"    {option.reason}")
        if option.measure_first:
            typer.echo("    measure first, with and without it: vllm-messages bench")
    _heading("What the model's files say")
    width = max(map(len, advice.details))
    for name, value in advice.details.items():
        typer.echo(f"  {name:<{width}}  {value}")


def _heading(text: str) -> None:
    typer.secho(f"\n{text}", bold=True)
