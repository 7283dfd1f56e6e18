"""Joins the parts of the diagnosis and prints them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vllm_messages_plugin.cli.doctor.claude_code import claude
from vllm_messages_plugin.cli.doctor.environment import environment
from vllm_messages_plugin.cli.doctor.fetch import fetch
from vllm_messages_plugin.cli.doctor.installation import installation
from vllm_messages_plugin.cli.doctor.line import Line
from vllm_messages_plugin.cli.doctor.mcp import code, mcp
from vllm_messages_plugin.cli.doctor.search import search
from vllm_messages_plugin.cli.doctor.server import Examined, examine_server
from vllm_messages_plugin.cli.doctor.store import store
from vllm_messages_plugin.conformance.client import base_url

STATUS_LABELS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}
Parts = Mapping[str, Sequence[Line]]


def diagnose(
    url: str, model: str, key: str, seconds: float | None, environ: Mapping[str, str], project: Path
) -> Parts:
    """Return the lines of every part.

    Args:
        url: The server's URL.
        model: The model's name; empty for the first one served.
        key: The API key; empty for none.
        seconds: How long to wait for a response; None asks no server.
        environ: The environment variables.
        project: The directory whose Claude Code settings count.
    """
    examined = examine_server(url, key, model, seconds) if seconds is not None else Examined([])
    parts = {
        "Installation": list(installation()),
        "Environment": list(environment(environ, base_url(url))),
        "Store": list(store(environ)),
        "Web search": list(search(environ)) if seconds is not None else [],
        "MCP servers": [*mcp(environ), *code(environ)] if seconds is not None else [],
        "Web fetch": list(fetch(environ)) if seconds is not None else [],
        "Server": list(examined.lines),
        "Claude Code": list(claude(environ, project, url, served=examined.served)),
    }
    return {name: lines for name, lines in parts.items() if lines}


def show(parts: Parts, *, as_json: bool) -> int:
    """Print the report; return how many lines failed."""
    lines = [line for part in parts.values() for line in part]
    counts = {status: sum(line.status == status for line in lines) for status in STATUS_LABELS}
    if as_json:
        rows = {part: [asdict(line) for line in found] for part, found in parts.items()}
        print(json.dumps({**counts, "parts": rows}, indent=2, ensure_ascii=False))
    else:
        _print(Console(), parts, counts)
    return counts["fail"]


def _print(console: Console, parts: Parts, counts: Mapping[str, int]) -> None:
    for part, lines in parts.items():
        console.print(f"\n[bold]{part}[/]")
        for line in lines:
            console.print(
                f"  {STATUS_LABELS[line.status]} {escape(line.name)}: {escape(line.found)}", soft_wrap=True
            )
            if line.advice:
                console.print(f"         [cyan]{escape(line.advice)}[/]", soft_wrap=True, highlight=False)
    console.print("\n" + ", ".join(f"{count} {status}" for status, count in counts.items()))
