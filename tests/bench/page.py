"""The page that `--markdown` writes."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from bench.tables import Table, as_markdown
from bench.verdicts import Verdict

TITLES = {
    "parsers": "Reading tool calls while they stream",
    "server": "The server beside vLLM's own routes",
    "frontend": "The front end alone: a streamed token",
    "requests": "The front end alone: a request",
    "latency": "The front end alone: waiting",
    "pace": "The front end alone: a steady pace",
    "memory": "The front end alone: memory",
    "store": "Batches and files",
}
HEAD = """\
# Performance

These tables are written by `make bench ARGS='--markdown docs/performance.md'`, which times this plugin \
and vLLM's own code in the same run, on the same replies. Measured on {machine}, with vLLM {vllm} on CPU \
and Python {python}. Other machines give other times; the ratios and the growth are what to look at.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bench: its name, its table, what must be known to read it, and its verdicts."""

    name: str
    table: Table
    notes: str
    verdicts: Sequence[Verdict]


def markdown(parts: Sequence[Part]) -> str:
    """The page."""
    return "\n".join((head(), *map(_section, parts)))


def updated(before: str, parts: Sequence[Part]) -> str:
    """The page with the sections of these parts new, and the others as they were."""
    sections = {text.partition("\n")[0]: f"## {text}" for text in before.split("\n## ")[1:]}
    sections |= {TITLES[part.name]: _section(part) for part in parts}
    ordered = [sections[title].rstrip("\n") + "\n" for title in TITLES.values() if title in sections]
    return "\n".join((head(), *ordered))


def head() -> str:
    """The title, and where the numbers come from."""
    machine = f"{os.cpu_count()} cores"
    return HEAD.format(machine=machine, vllm=vllm_version(), python=platform.python_version())


def vllm_version() -> str:
    """The installed vLLM, whichever package it came in."""
    return version("vllm").partition("+")[0]


def _section(part: Part) -> str:
    verdicts = "\n".join(f"- {verdict}" for verdict in part.verdicts)
    measured = f"Measured on {date.today().isoformat()}."
    return (
        f"## {TITLES[part.name]}\n\n{part.notes}\n\n{measured}\n\n{as_markdown(part.table)}\n\n{verdicts}\n"
    )
