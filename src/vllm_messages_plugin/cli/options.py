"""The arguments and options that several commands share."""

from typing import Annotated

import typer

DEFAULT_URL = "http://localhost:8000"

Url = Annotated[str, typer.Argument(help="The server's URL; a trailing /v1 is removed.", show_default=True)]
Model = Annotated[str, typer.Option("--model", help="The model's name.", show_default="the first one served")]
Key = Annotated[str, typer.Option("--api-key", help="The server's API key.", envvar="VLLM_API_KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only, for programs.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for one response.", min=0.1)]
Window = Annotated[
    int,
    typer.Option("--window", help="The context window in tokens.", show_default="the server's", min=0),
]
SmallModel = Annotated[
    str,
    typer.Option(
        "--small-model", help="Another served model, for small tasks.", show_default="the same model"
    ),
]
Traffic = Annotated[
    bool,
    typer.Option("--allow-traffic", help="Let Claude Code call Anthropic: telemetry, updates."),
]
Program = Annotated[str, typer.Option("--program", help="The Claude Code program.")]
