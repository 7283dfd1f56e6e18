"""Formats a measurement: a table, bars in the terminal, JSON, a PNG."""

import json
from dataclasses import asdict
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vllm_messages_plugin.cli.bench.measurement import Measurement, Sample, median_of

BAR_WIDTH = 28
CACHED, NEW = "█", "░"
INK = {"cached": "#2f6f4f", "new": "#d9a441", "line": "#303030"}


def show(result: Measurement, *, as_json: bool) -> None:
    """Print the measurement."""
    if as_json:
        print(json.dumps(to_json(result), indent=2))
        return
    console = Console()
    console.print(f"[bold]{escape(result.model)}[/] at {escape(result.url)}", highlight=False)
    console.print(_answers(result))
    if result.turns:
        console.print(_session(result))
        console.print(f"{CACHED} from the cache  {NEW} computed; ms to the first event", style="dim")
        if result.reuse:
            console.print(reuse_sentence(result))


def to_json(result: Measurement) -> dict[str, Any]:
    """Return the whole measurement; times are in seconds."""
    return {
        "url": result.url,
        "model": result.model,
        "window": result.window,
        **asdict(result.size),
        "median_first_event": median_of(sample.first_event for sample in result.answers),
        "median_first_delta": median_of(sample.first_delta for sample in result.answers),
        "median_tokens_per_second": median_of(sample.speed for sample in result.answers),
        "throughput": result.throughput,
        "answers": [asdict(sample) for sample in result.answers],
        "session": [asdict(sample) for sample in result.turns],
        "reuse": result.reuse,
        "median_reuse": median_of(iter(result.reuse)),
    }


def _answers(result: Measurement) -> Table:
    table = Table(title=_title(result), title_justify="left")
    for name in ("", "median", "least", "most"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    rows = {
        "first event, ms": [1000 * sample.first_event for sample in result.answers],
        "first text, ms": [1000 * sample.first_delta for sample in result.answers],
        "tokens per second": [speed for sample in result.answers if (speed := sample.speed) is not None],
    }
    for name, values in rows.items():
        shown = [median_of(iter(values)), min(values, default=None), max(values, default=None)]
        table.add_row(name, *("-" if value is None else f"{value:.1f}" for value in shown))
    table.add_row("together, tokens per second", f"{result.throughput:.1f}", "", "")
    return table


def _title(result: Measurement) -> str:
    size = result.size
    return f"{size.runs} replies of at most {size.tokens} tokens, {size.concurrency} at a time"


def _session(result: Measurement) -> Table:
    table = Table(title=f"A session of {len(result.turns)} turns", title_justify="left")
    for name in ("turn", "tokens", "cached", "found", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("prompt", no_wrap=True)
    most = max(sample.prompt for sample in result.turns)
    for turn, sample in enumerate(result.turns):
        reuse = f"{100 * result.reuse[turn - 1]:.1f} %" if turn else "-"
        milliseconds = f"{1000 * sample.first_event:.0f}"
        table.add_row(
            str(turn + 1), str(sample.prompt), str(sample.cached), reuse, milliseconds, bar(sample, most)
        )
    return table


def bar(sample: Sample, most: int) -> Text:
    """Return a prompt as a bar: tokens from the cache, then new tokens."""
    whole = round(BAR_WIDTH * sample.prompt / most) if most else 0
    cached = round(whole * sample.cached / sample.prompt) if sample.prompt else 0
    return Text.assemble((CACHED * cached, "green"), (NEW * (whole - cached), "yellow"))


NO_CACHE_REPORTED = (
    "The server reports no cached tokens (usage.cache_read_input_tokens): it has no cache, or it does not "
    "report it; in that case later turns still start sooner than the first."
)


def reuse_sentence(result: Measurement) -> str:
    """Describe the session's cache reuse in one sentence."""
    if not any(sample.cached for sample in result.turns):
        return NO_CACHE_REPORTED
    share = 100 * (median_of(iter(result.reuse)) or 0.0)
    worst = 100 * min(result.reuse)
    lost = max(before.prompt - after.cached for before, after in pairwise(result.turns))
    return (
        f"A turn finds {share:.1f} % of the previous turn in the cache (median; worst {worst:.1f} %): "
        f"at most {max(0, lost)} tokens of it are computed again, because the cache holds whole blocks only."
    )


def draw(result: Measurement, path: Path) -> None:
    """Draw the session into a file: the prompt by turn, and the time to the first event."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    figure, (prompts, times) = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    turns = list(range(1, len(result.turns) + 1))
    cached = [sample.cached for sample in result.turns]
    new = [sample.prompt - sample.cached for sample in result.turns]
    prompts.bar(turns, cached, color=INK["cached"], label="from the cache")
    prompts.bar(turns, new, bottom=cached, color=INK["new"], label="computed")
    prompts.set(ylabel="prompt, tokens", title=f"{result.model}: a session of {len(turns)} turns")
    prompts.legend(loc="upper left")
    times.plot(turns, [1000 * sample.first_event for sample in result.turns], "o-", color=INK["line"])
    times.set(xlabel="turn", ylabel="first event, ms", xticks=turns)
    times.set_ylim(bottom=0)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
