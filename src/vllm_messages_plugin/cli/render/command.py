"""`vllm-messages render`: the prompt that a model would read for a request. No server, no vLLM."""

import json
import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vllm_messages_plugin.cli.options import AsJson

if TYPE_CHECKING:
    from vllm_messages_plugin.offline.places import PlacedBlock
    from vllm_messages_plugin.offline.prompt import RenderedPrompt

NEXT_STEP = (
    "If the model should read something else, open an issue with the request, the model's name and what "
    "`vllm-messages render --json` prints for them."
)


class DefaultThinking(StrEnum):
    """What a request without `thinking` means."""

    OFF = "off"
    ON = "on"
    TEMPLATE = "template"


def render(
    model: Annotated[
        str, typer.Argument(metavar="MODEL_DIR", help="A directory, or a name in the Hugging Face cache.")
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="REQUEST.json",
            help="The body of a request, as a client logged it, or a file of VLLM_MESSAGES_RECORD.",
            exists=True,
            dir_okay=False,
        ),
    ],
    chat_template: Annotated[
        Path | None,
        typer.Option(help="A chat template that replaces the model's own.", exists=True, dir_okay=False),
    ] = None,
    default_thinking: Annotated[
        DefaultThinking, typer.Option(help="The value of VLLM_MESSAGES_DEFAULT_THINKING.")
    ] = DefaultThinking.OFF,
    as_json: AsJson = False,
) -> None:
    """Print the prompt that a model would read for a request, and where its blocks stand.

    The request is translated as on the server and rendered with the model's own chat template. Images and
    documents that the server would fetch or read are left out, and so is reasoning that only a signature
    carries.

    Exit status: 0 done; 1 the server would refuse the request; 2 no such model, or the file holds no request.
    """
    from vllm_messages_plugin.cli.flags.model_files import NoModelError, read_model
    from vllm_messages_plugin.offline.prompt import UnrenderableError, render_prompt
    from vllm_messages_plugin.offline.record import read_record
    from vllm_messages_plugin.wire.errors import MessagesError

    try:
        found = read_model(model, os.environ, template=chat_template)
        record = read_record(file.read_text(encoding="utf-8", errors="replace"))
        if record is None or record.request is None:
            raise NoModelError(f"{file} holds no request: a JSON object with `messages`, or a record of one")
        rendered = render_prompt(found.facts, record.request, default_thinking.value)
    except NoModelError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (MessagesError, UnrenderableError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_to_json(rendered), indent=2, ensure_ascii=False))
    else:
        _print(rendered)


def _to_json(rendered: "RenderedPrompt") -> dict[str, object]:
    return {
        "prompt": rendered.text,
        "blocks": [asdict(block) for block in rendered.blocks],
        "breakpoints": [asdict(block) for block in rendered.breakpoints],
        "template_kwargs": dict(rendered.template_kwargs),
        "reasons": list(rendered.choice.reasons),
    }


def _print(rendered: "RenderedPrompt") -> None:
    typer.echo(rendered.text)
    typer.secho(f"\nBlocks (offsets in the {len(rendered.text)} characters above)", bold=True)
    for block in rendered.blocks:
        typer.echo(f"  {_place(block):<17}  {block.kind:<12}  {block.path}")
    if rendered.breakpoints:
        typer.secho("\nCache breakpoints", bold=True)
        for block in rendered.breakpoints:
            typer.echo(f"  behind {block.end}")
    typer.echo(f"\n{NEXT_STEP}")


def _place(block: "PlacedBlock") -> str:
    return "not as it stands" if block.start is None else f"{block.start}-{block.end}"
