"""`vllm-messages parse`: what a model's raw output is read as. No server, no vLLM."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vllm_messages_plugin.cli.options import AsJson

if TYPE_CHECKING:
    from vllm_messages_plugin.offline.record import Record


class PromptEnd(StrEnum):
    """Where the prompt ended."""

    OPEN = "open"
    CLOSED = "closed"


def parse(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_DIR|FORMAT",
            help="A directory, a name in the Hugging Face cache, or a tool-call format of docs/models.md.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The raw output, or a file of VLLM_MESSAGES_RECORD. Without it, standard input.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    tools: Annotated[
        Path | None,
        typer.Option(
            help="The offered tools as a JSON list, in Anthropic's or OpenAI's form.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    thinking: Annotated[
        PromptEnd | None,
        typer.Option(help="Whether the prompt ended inside thinking. Without it, as the template does."),
    ] = None,
    stepwise: Annotated[
        bool, typer.Option("--stepwise", help="Read one character at a time; print each piece as it comes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the thinking, the text, the tool calls and every repair that a model's raw output is read as.

    The scanner of the server reads it, in the format that the model's chat template shows, or in the one that
    is named. A file of VLLM_MESSAGES_RECORD brings its tools and the end of its prompt along.

    Exit status: 0 done; 1 only vLLM's own parser reads this model; 2 no such model, format or file.
    """
    from vllm_messages_plugin.cli.parse.report import print_output, print_pieces, to_json
    from vllm_messages_plugin.offline.output import parse_output
    from vllm_messages_plugin.offline.record import Record, read_record

    text = file.read_text(encoding="utf-8", errors="replace") if file else sys.stdin.read()
    record = read_record(text)
    if record is None or record.output_text is None:
        record = Record(output_text=text)
    starts_open = thinking is PromptEnd.OPEN if thinking else record.thinking_open
    call_format, tags = _output_format(model, starts_open)
    found = parse_output(
        record.output_text or "",
        call_format,
        tools=_tools(tools, record),
        thinking=tags,
        step=1 if stepwise else None,
    )
    if as_json:
        report = to_json(found, call_format.name, tags, pieces=stepwise)
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    elif stepwise:
        print_pieces(found)
    else:
        print_output(found, call_format.name, tags)


def _output_format(model: str, starts_open: bool | None) -> tuple[Any, Any]:
    """Return the format and the thinking tags of a model, or of a format that is named."""
    from dataclasses import replace

    from vllm_messages_plugin.cli.flags.model_files import NoModelError, read_model
    from vllm_messages_plugin.formats.scanning.formats import FORMATS
    from vllm_messages_plugin.offline.model import UnreadableModelError, output_format
    from vllm_messages_plugin.offline.output import THINK_TAGS

    if model in FORMATS:
        return FORMATS[model], replace(THINK_TAGS, starts_open=bool(starts_open))
    try:
        return output_format(read_model(model, os.environ).facts, starts_open)
    except NoModelError as error:
        typer.echo(f"{error}; and no tool-call format is named {model}", err=True)
        raise typer.Exit(2) from None
    except UnreadableModelError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _tools(path: Path | None, record: "Record") -> Any:
    from vllm_messages_plugin.offline.record import openai_tools
    from vllm_messages_plugin.wire.errors import MessagesError

    if path is None:
        return record.tools
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return openai_tools(listed.get("tools", []) if isinstance(listed, dict) else listed)
    except (ValueError, MessagesError) as error:
        typer.echo(f"{path}: {error}", err=True)
        raise typer.Exit(2) from None
